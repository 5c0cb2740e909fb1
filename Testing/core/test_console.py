"""What commands print: one line stays one line, nothing hides in it, and a reader may go away."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import pytest

from AdaptCore.commands.console import all_of, complain, open_streams, plain_warnings, say
from AdaptCore.errors import ModelError

HEAD = """
import os, sys
from AdaptCore import cli
sys.exit(cli.main(sys.argv[1:]))
"""


def into_a_closed_pipe(home: Path, repository: Path, *words: str, both: bool = False) -> tuple[int, str]:
    """Status and error output of a command whose reader has gone away before it begins."""
    reading, writing = os.pipe()
    os.close(reading)
    environment = {**os.environ, "PYTHONPATH": str(repository), "ADAPTSEG_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", HEAD, *words],
        env=environment,
        stdout=writing,
        stderr=writing if both else subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    return done.returncode, done.stderr or ""


@pytest.mark.parametrize("words", [("models", "list"), ("profiles", "list"), ("segment", "--help")], ids=" ".join)
def test_a_reader_that_goes_away_is_no_error(tmp_path: Path, repository: Path, words: tuple[str, ...]) -> None:
    assert into_a_closed_pipe(tmp_path, repository, *words) == (0, "")


def test_an_error_that_nobody_reads_keeps_its_status(tmp_path: Path, repository: Path) -> None:
    assert into_a_closed_pipe(tmp_path, repository, "tasks", "show", "none", both=True) == (2, "")


def test_what_comes_from_outside_stays_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    say("MIT\nadaptseg: done\x1b[2J", "\u202etxt.exe")
    complain(ModelError("no model 'a\x07b'"))
    with plain_warnings():
        warnings.warn("the series 'CT\r\u202e' was taken", stacklevel=1)
    printed = capsys.readouterr()
    assert printed.out == "MIT\\nadaptseg: done\\x1b[2J\n\\u202etxt.exe\n"
    assert printed.err == ("adaptseg: no model 'a\\x07b'\nadaptseg: warning: the series 'CT\\r\\u202e' was taken\n")


def test_all_steps_are_taken_and_each_problem_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    taken: list[int] = []

    def step(number: int) -> None:
        taken.append(number)
        if number % 2:
            raise ModelError(f"step {number}")

    with pytest.raises(ModelError, match="step 3"):
        all_of(partial(step, number) for number in range(5))
    assert taken == [0, 1, 2, 3, 4]
    assert capsys.readouterr().err == "adaptseg: step 1\n"


def test_a_full_disk_under_the_output_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, text: str) -> None:
            raise OSError(28, "No space left on device")

        def flush(self) -> None: ...

    monkeypatch.setattr(sys, "stdout", Full())
    with open_streams(), pytest.raises(OSError, match="No space left"):
        say("a line")
