"""A cohort of many small volumes keeps none of their voxels in memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys, tracemalloc
from pathlib import Path
from AdaptCore.cohort import steps
from AdaptCore.cohort.accepting import accept_proposal
from AdaptCore.cohort.beginning import begin
from AdaptCore.cohort.engine import LocalEngine
from AdaptCore.cohort.summary import summarize
from Testing.cohort_toy import ToyMethod, unwatched, write_cohort

folder, count = Path(sys.argv[1]), int(sys.argv[2])
images, template, label = write_cohort(folder, count, (32, 28, 24))
steps.MOST_SAMPLE_BYTES = 1_000_000
tracemalloc.start()
cohort = begin(folder / "cohort", [images], template, label, "toy")
steps.propagate(cohort, ToyMethod(), LocalEngine(), unwatched)
steps.train(cohort, ToyMethod(), 1, LocalEngine(), unwatched)
for query in steps.choose_next(cohort, ToyMethod(), "ours", 5, 0):
    accept_proposal(cohort, query.case)
counts = summarize(cohort).counts
print(tracemalloc.get_traced_memory()[1], counts["accepted"], counts["proposed"])
"""
NUMBERS = """
import resource, sys
from AdaptCore.cohort.description import describe
from AdaptCore.cohort.lazy import Lazy
from AdaptCore.cohort.atlases import nearest
from AdaptCore.cohort.queries import rank
from Testing.cohort_volumes import a_label, probabilities_of, some_features

label = a_label()
features = Lazy(int(sys.argv[1]), lambda number: some_features(label, seed=number))
probabilities = Lazy(len(features), lambda number: probabilities_of(label, 0.6 + 0.39 * (number % 2)))
kept = [describe(str(number), features[number], probabilities[number]) for number in range(len(features))]
rank("ours", kept[:1], kept[1:], 3)
nearest(kept, [number < 3 for number in range(len(kept))])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
RECORD_BYTES = 12_000
"""More than the records of a case need, and less than its smallest array, a label of 32 x 28 x 24 bytes."""


def answer_of(script: str, repository: Path, *words: object) -> list[int]:
    environment = {**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
    answer = subprocess.run(
        [sys.executable, "-c", script, *map(str, words)],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return [int(number) for number in answer.stdout.split()]


def peak_of(folder: Path, count: int, repository: Path) -> int:
    peak, accepted, proposed = answer_of(SCRIPT, repository, folder, count)
    assert (accepted, proposed) == (6, count - 6)
    return peak


@pytest.mark.slow
def test_many_volumes_need_memory_for_their_records_alone(tmp_path: Path, repository: Path) -> None:
    # Not fewer than 200: Python's table of interned strings, which holds the parts of paths, doubles before that.
    few, many = (peak_of(tmp_path / str(count), count, repository) for count in (200, 360))
    assert many - few < 160 * RECORD_BYTES, f"{few / 1e6:.1f} MB and {many / 1e6:.1f} MB"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the system's count of memory is in kB on Linux alone")
def test_numbers_kept_of_each_case_do_not_hold_the_memory_of_its_volume(repository: Path) -> None:
    (few,), (many,) = (answer_of(NUMBERS, repository, count) for count in (40, 240))
    assert many - few < 20_000, f"{few / 1e3:.0f} MB and {many / 1e3:.0f} MB"
