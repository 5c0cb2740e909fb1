"""The check of JSON against our schemas says the same as the library jsonschema."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from AdaptCore.json_schema import CHECKS, NOTES, PARTS, problems

A_CASE = {
    "version": 1,
    "id": "case-1",
    "image": {
        "sha256": "0" * 64,
        "size": [3, 4, 5],
        "spacing": [1, 1.5, 2.0],
        "origin": [0, -2.5, 1e3],
        "direction": [1, 0, 0, 0, 1, 0, 0, 0, 1],
    },
    "accepted": [{"file": "accepted/case-1.nii.gz", "sha256": "a" * 64, "round": None, "dice": 0.5}],
    "aside": "",
    "refused": "",
}
A_ROUND = {
    "number": 1,
    "base": 0,
    "labelled": {"case-1": "accepted/case-1.nii.gz"},
    "trusted": ["case-2"],
    "why": "",
    "agreement": 0.9,
    "collapsed": "",
}
A_STATE = {
    "version": 1,
    "rounds": [A_ROUND],
    "plan": None,
    "queries": [{"case": "case-1", "score": 0.5, "reason": "far"}],
}
SETTINGS = {
    "version": 1,
    "model": "compact",
    "template": "case-1",
    "labels": [1, 2],
    "seed": 0,
    "images": {"case-1": "../a.nii.gz"},
}
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 300),
    st.sampled_from([0.0, 1.0, 2.0, 0.5, -1.5, 1e30]),
    st.sampled_from(
        ["", "a", "case-1", "../x", "a b", "0" * 64, "accepted/x.nii.gz", "https://x.org/y", "http://x", "sam2"]
    ),
    st.lists(st.one_of(st.integers(0, 3), st.booleans(), st.sampled_from([1.0, "a"])), max_size=4),
    st.dictionaries(st.sampled_from(["version", "case-1", "a b"]), st.one_of(st.integers(0, 2), st.text()), max_size=2),
)


def schema_of(repository: Path, name: str) -> dict[str, Any]:
    return dict(json.loads((repository / "Resources" / name).read_text(encoding="utf-8")))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every part of a JSON value."""
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*path, key))


def changed(value: Any, path: tuple[Any, ...], other: Any, is_new: bool) -> Any:
    """A copy with another value at a place or, in an object, beside it."""
    if not path:
        return other
    value = copy.deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    inner["new" if is_new and isinstance(inner, dict) else path[-1]] = other
    return value


def keywords(schema: Any) -> Iterator[str]:
    """The keywords of a schema and its parts."""
    for keyword, limit in schema.items():
        yield keyword
        parts: list[Any] = []
        if keyword in ("properties", "$defs"):
            parts = list(limit.values())
        elif keyword == "oneOf":
            parts = limit
        elif keyword in PARTS and isinstance(limit, dict):
            parts = [limit]
        for part in parts:
            yield from keywords(part)


@pytest.mark.parametrize("name", ["models.schema.json", "cohort.schema.json"])
def test_every_keyword_of_our_schemas_is_known(repository: Path, name: str) -> None:
    found = set(keywords(schema_of(repository, name)))
    assert {"type", "properties", "required"} < found
    assert found <= CHECKS.keys() | PARTS.keys() | NOTES


@settings(max_examples=150, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize(
    ("name", "part", "valid"),
    [
        ("models.schema.json", None, None),
        ("cohort.schema.json", "case", A_CASE),
        ("cohort.schema.json", "state", A_STATE),
        ("cohort.schema.json", "state", {**A_STATE, "plan": A_ROUND}),
        ("cohort.schema.json", "settings", SETTINGS),
    ],
)
def test_it_agrees_with_the_library(
    repository: Path, name: str, part: str | None, valid: Any, data: st.DataObject
) -> None:
    root = schema_of(repository, name)
    if valid is None:
        valid = json.loads((repository / "Resources/models.json").read_text(encoding="utf-8"))
    path = data.draw(st.sampled_from(sorted(places(valid), key=repr)))
    content = changed(valid, path, data.draw(VALUES), data.draw(st.booleans()))
    library = jsonschema.Draft202012Validator({**root, "$ref": f"#/$defs/{part}"} if part else root)
    here = list(problems(content, root["$defs"][part] if part else root, root))
    assert library.is_valid(valid) and not list(problems(valid, root["$defs"][part] if part else root, root))
    assert bool(here) is not library.is_valid(content), here


def test_a_problem_names_its_place() -> None:
    schema = {"properties": {"a": {"type": "array", "items": {"type": "integer", "minimum": 1}}}}
    assert list(problems({"a": [2, 0, "x"]}, schema, schema)) == [
        "$.a[1]: 0 is less than 1",
        "$.a[2]: 'x' is not of type 'integer'",
    ]


def test_an_unknown_keyword_is_no_silent_yes() -> None:
    with pytest.raises(KeyError, match="format"):
        list(problems("x", {"format": "date"}, {}))


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("integer", [0, -3, 2.0, 1e30]),
        ("number", [0, -3, 2.0, 1e30, 0.5]),
        ("boolean", [True, False]),
        ("string", ["", "0"]),
        ("null", [None]),
        ("array", [[]]),
        ("object", [{}]),
    ],
)
def test_kinds_are_those_of_json(kind: str, values: list[Any]) -> None:
    every = [0, -3, 2.0, 1e30, 0.5, True, False, "", "0", None, [], {}]
    found = [value for value in every if not list(problems(value, {"type": kind}, {}))]
    assert repr(found) == repr(values)


def test_one_of_is_neither_none_nor_two() -> None:
    schema = {"oneOf": [{"minimum": 2}, {"maximum": 4}]}
    assert [bool(list(problems(value, schema, schema))) for value in (1, 3, 5)] == [False, True, False]
    assert list(problems("x", {"oneOf": [{"type": "null"}, {"type": "array"}]}, {})) == [
        "$: 'x' is not of type 'array'"
    ]
