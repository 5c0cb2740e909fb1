"""All benchmarks in one run: every table's command is one, files that are there are not made again, failures wait."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from AdaptCore.cli import build_parser, main
from AdaptCore.commands import bench_all
from AdaptCore.commands.bench_all import TABLES, options_of
from AdaptCore.errors import AdaptSegError


@pytest.mark.parametrize("name", TABLES)
def test_the_options_of_every_table_are_those_of_a_benchmark(name: str, tmp_path: Path) -> None:
    given = argparse.Namespace(data=Path("data"), model="sam_vit_b", device="cuda")
    parsed = build_parser().parse_args(["bench", *options_of(name, given, tmp_path / "file.json")])
    assert parsed.json == tmp_path / "file.json"
    if "MODEL" in TABLES[name]:
        assert "sam_vit_b" in parsed.model


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the tables that were run; `volume` fails."""
    names: list[str] = []

    def run(options: list[str]) -> None:
        path = Path(options[-1])
        names.append(path.name)
        path.write_text(json.dumps({"made": options[0]}), encoding="utf-8")
        if options[0] == "volume":
            raise AdaptSegError("There is no set msd_hippocampus.")

    monkeypatch.setattr(bench_all, "_run", run)
    return names


def test_a_run_goes_on_where_an_earlier_one_was_stopped(
    made: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "tables"
    command = ["bench", "all", "--data", "data", "--out", str(out), "--tables", "clicks,volume,propagate"]
    assert main(command) == 2
    assert made == ["clicks.part.json", "volume.part.json", "propagate.part.json"]
    assert sorted(path.name for path in out.iterdir()) == [
        "clicks.json",
        "origin.json",
        "propagate.json",
        "volume.part.json",
    ]
    shown = capsys.readouterr().err
    assert "volume: There is no set msd_hippocampus." in shown
    assert "These tables could not be made: volume." in shown
    made.clear()
    assert main(command) == 2
    assert made == ["volume.part.json"]
    assert "clicks: there already" in capsys.readouterr().out


def test_tables_of_other_data_or_weights_are_not_taken_for_these(
    made: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["bench", "all", "--out", str(tmp_path), "--tables", "clicks", "--data"]
    assert main([*command, "data"]) == 0
    assert main([*command, "other"]) == 2
    assert "The tables there are of other weights or data. Choose another --out." in capsys.readouterr().err
    origin = tmp_path / "origin.json"
    known = json.loads(origin.read_bytes())
    origin.write_text(json.dumps({**known, "weights": ["0" * 64, known["weights"][1]]}), encoding="utf-8")
    assert main([*command, "data"]) == 2
    assert made == ["clicks.part.json"]


def test_a_table_that_there_is_not_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "all", "--data", "data", "--out", str(tmp_path), "--tables", "speed"]) == 2
    assert "Expected tables among clicks, rivals, object" in capsys.readouterr().err
