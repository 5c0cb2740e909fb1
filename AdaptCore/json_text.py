"""JSON from outside: what is no plain JSON, or not as its schema says, gives one short line."""

from __future__ import annotations

import json
import math
from functools import cache
from typing import Any

from AdaptCore.json_schema import problems
from AdaptCore.printable import shortened
from AdaptCore.resources import resource_path

MOST_DIGITS = 20
"""Longer whole numbers have no meaning in any of our files."""

MOST_DEPTH = 50


def parse(text: str | bytes) -> Any:
    """What a text in JSON says.

    Raises:
        ValueError: it is damaged, nested too deeply, or holds a number that is not finite or too long.
    """
    try:
        content = json.loads(text, parse_int=_whole, parse_float=_finite, parse_constant=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _check_depth(content)
    return content


def problem_with(content: object, schema: str, part: str | None = None) -> str | None:
    """What is not as a shipped schema, or one of its definitions, says; None if all is.

    Args:
        schema: name of its file.
        part: name of the definition.
    """
    root = _schema(schema)
    problem = next(problems(content, root["$defs"][part] if part else root, root), None)
    return problem and shortened(problem)


@cache
def _schema(name: str) -> Any:
    return json.loads(resource_path(name).read_text(encoding="utf-8"))


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits:.20} is not finite")
    return value


def _check_depth(content: object) -> None:
    level = [content]
    for _ in range(MOST_DEPTH):
        nodes = [node.values() if isinstance(node, dict) else node for node in level if isinstance(node, dict | list)]
        level = [child for node in nodes for child in node]
    if level:
        raise ValueError("it is nested too deeply")
