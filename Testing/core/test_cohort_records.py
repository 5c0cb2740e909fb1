"""The plain files of a cohort: what is written comes back, and what does not follow the schema is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from AdaptCore.cohort.records import (
    Accepted,
    Case,
    Image,
    Query,
    Round,
    Settings,
    State,
    read_case,
    read_settings,
    read_state,
    write_case,
    write_settings,
    write_state,
)
from AdaptCore.errors import CohortError
from AdaptCore.io import Geometry

SHA = "a" * 64
A_CASE = Case(
    "case-1",
    Image(SHA, Geometry((3, 4, 5), (0.5, 1.0, 2.0), (-1.0, 0.0, 7.25))),
    (Accepted("accepted/case-1-1.nii.gz", SHA), Accepted("accepted/case-1-2.nii.gz", "b" * 64, 3, 0.75)),
    refused="label.nii.gz: the label is empty",
)
A_ROUND = Round(1, 0, {"case-1": "accepted/case-1-1.nii.gz"}, ("b", "c"), "all")
COLLAPSED = Round(2, 1, {}, (), "two near", 0.5, "7 of 9 labels are empty")


def changed(path: Path, **content: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **content}), encoding="utf-8")


@pytest.fixture
def a_file(tmp_path: Path) -> Path:
    write_case(tmp_path / "case-1.json", A_CASE)
    return tmp_path / "case-1.json"


def test_the_schema_is_one(repository: Path) -> None:
    schema = json.loads((repository / "Resources/cohort.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)


def test_what_is_written_comes_back(tmp_path: Path, a_file: Path) -> None:
    assert read_case(a_file) == A_CASE
    write_case(a_file, Case("case-2", aside="cut short"))
    assert read_case(a_file) == Case("case-2", aside="cut short")
    settings = Settings("compact", "case-1", (2, 5), 7, {"case-1": "../images/case-1.nii.gz", "b": "C:/b.nrrd"})
    write_settings(tmp_path / "cohort.json", settings)
    assert read_settings(tmp_path / "cohort.json") == settings
    for state in (State(), State((A_ROUND, COLLAPSED), A_ROUND, (Query("case-1", 0.5, "far"),))):
        write_state(tmp_path / "state.json", state)
        assert read_state(tmp_path / "state.json") == state
    assert read_state(tmp_path / "none.json") == State()


def test_a_spacing_that_the_file_does_not_tell_stays_so(a_file: Path) -> None:
    assert A_CASE.image is not None
    assert "has_millimetres" not in json.loads(a_file.read_text("utf-8"))["image"]
    told = read_case(a_file).image
    assert told is not None and told.geometry.has_millimetres
    bare = Image(SHA, replace(A_CASE.image.geometry, has_millimetres=False))
    write_case(a_file, Case("case-1", bare))
    kept = read_case(a_file).image
    assert kept is not None and not kept.geometry.has_millimetres


def test_the_labels_of_a_collapsed_round_are_not_current() -> None:
    assert State().current == 0
    assert State((A_ROUND, COLLAPSED)).current == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "got damaged JSON"),
        (b'{"version": 1, "id": "ca', "got damaged JSON"),
        (b"\xff\xfe", "got damaged JSON"),
        (b"[[Infinity]]", r"Expected the case of a cohort, got damaged JSON \(the number Infinity is not finite\)\.$"),
        (b"9" * 5000, r"Expected the case of a cohort, got damaged JSON \(a number of 5000 digits\)\.$"),
        (b"[" * 100_000, r"Expected the case of a cohort, got damaged JSON \(it is nested too deeply\)\.$"),
        (b"[]", r"\$: \[\] is not of type 'object'"),
        (b'{"version": 2}', "Expected version 1, got version 2 of a newer AdaptSeg"),
        (b'{"version": "1"}', "as in cohort.schema.json, got"),
    ],
)
def test_a_file_that_is_no_record_is_refused_and_stays(a_file: Path, content: bytes, reason: str) -> None:
    a_file.write_bytes(content)
    with pytest.raises(CohortError, match=rf"case-1\.json: .*{reason}"):
        read_case(a_file)
    assert a_file.read_bytes() == content


@pytest.mark.parametrize(
    "content",
    [
        {"id": "../case"},
        {"accepted": [{"file": "../../etc/passwd", "sha256": SHA, "round": None, "dice": None}]},
        {"accepted": [{"file": "accepted/a.nii.gz", "sha256": "short", "round": None, "dice": None}]},
        {"surprise": 1},
        {"aside": None},
    ],
)
def test_a_record_that_does_not_follow_the_schema_is_refused(a_file: Path, content: dict[str, Any]) -> None:
    changed(a_file, **content)
    with pytest.raises(CohortError, match=r"as in cohort\.schema\.json, got"):
        read_case(a_file)


def test_what_does_not_follow_the_schema_is_not_written(a_file: Path) -> None:
    with pytest.raises(CohortError, match=r"\$\.id"):
        write_case(a_file, Case("a/b"))
    assert read_case(a_file) == A_CASE
    assert [path.name for path in a_file.parent.iterdir()] == ["case-1.json"]
