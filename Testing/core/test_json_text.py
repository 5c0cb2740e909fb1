"""JSON from outside: what is none gives one short line."""

from __future__ import annotations

import pytest

from AdaptCore.json_text import parse, problem_with


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[[Infinity]]", "the number Infinity is not finite"),
        ("[1e999]", "the number 1e999 is not finite"),
        ("[NaN]", "the number NaN is not finite"),
        ("9" * 5000, "a number of 5000 digits"),
        ("[" * 100_000, "it is nested too deeply"),
        ("[" * 51 + "]" * 51, "it is nested too deeply"),
        ('{"a":' * 60 + "1" + "}" * 60, "it is nested too deeply"),
        (b"\xff", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        ("", "Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_what_is_no_plain_json_is_refused_in_a_few_words(text: str | bytes, reason: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse(text)
    assert str(refused.value) == reason


def test_plain_json_is_read() -> None:
    assert parse('{"a": [1, -2.5, "x", null, true]}') == {"a": [1, -2.5, "x", None, True]}
    assert parse("[" * 49 + "]" * 49) is not None
    assert parse("1" * 20) == int("1" * 20)


def test_a_problem_with_a_schema_is_one_short_line() -> None:
    assert problem_with({"version": 1, "models": []}, "models.schema.json") is None
    assert problem_with({"version": 2, "models": []}, "models.schema.json") == "$.version: 1 was expected"
    problem = problem_with({"version": 1, "models": "x" * 10_000}, "models.schema.json")
    assert problem is not None and problem.startswith("$.models: 'xxx") and len(problem) == 300
    problem = problem_with({"version": 1}, "cohort.schema.json", "case")
    assert problem is not None and "is a required property" in problem
