"""Checks JSON against one of the shipped schemas: those keywords of JSON Schema that they use, and no other.

Source: JSON Schema 2020-12, https://json-schema.org/draft/2020-12/json-schema-validation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

NOTES = {"$schema", "$defs", "title", "description"}
"""Keywords that demand nothing."""


def problems(value: Any, schema: Schema, root: Schema, path: str = "$") -> Iterator[str]:
    """What is not as a schema says, each with its place in the JSON, such as "$.models[0].size".

    Args:
        value: what a JSON text says.
        schema: the whole schema or a part of it.
        root: the whole schema, whose definitions are referred to.
        path: the value's place.

    Raises:
        KeyError: the schema uses a keyword that is not known here.
    """
    for keyword in sorted((word for word in schema if word not in NOTES), key=lambda word: word != "type"):
        if keyword in CHECKS:
            kinds, holds, message = CHECKS[keyword]
            if _is(value, kinds) and not holds(value, schema[keyword]):
                yield f"{path}: {message.format(value=value, limit=_listed(schema[keyword]))}"
        else:
            yield from PARTS[keyword](value, schema, root, path)


def _is(value: Any, kinds: str | list[str]) -> bool:
    """Whether a value is of one of JSON's kinds; a bool is no number, and 2.0 is an integer."""
    return any(_is_kind(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _is_kind(value: Any, kind: str) -> bool:
    if kind == "integer":
        return _is_kind(value, "number") and value == int(value)
    return isinstance(value, TYPES[kind]) and (kind in ("boolean", "any") or not isinstance(value, bool))


def _key(value: Any) -> str:
    """The same for values that JSON takes for equal."""
    return json.dumps(int(value) if _is(value, "integer") else value, sort_keys=True)


def _listed(limit: Any) -> str:
    return ", ".join(map(repr, limit)) if isinstance(limit, list) else repr(limit)


def _required(value: Any, schema: Schema, _root: Schema, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (f"{path}: {name!r} is a required property" for name in schema["required"] if name not in value)


def _properties(value: Any, schema: Schema, root: Schema, path: str) -> Iterator[str]:
    for name, part in schema["properties"].items():
        if isinstance(value, dict) and name in value:
            yield from problems(value[name], part, root, f"{path}.{name}")


def _additional(value: Any, schema: Schema, root: Schema, path: str) -> Iterator[str]:
    others = value.keys() - schema.get("properties", {}).keys() if isinstance(value, dict) else set()
    for name in sorted(others):
        if schema["additionalProperties"] is False:
            yield f"{path}: {name!r} was unexpected"
        else:
            yield from problems(value[name], schema["additionalProperties"], root, f"{path}.{name}")


def _names(value: Any, schema: Schema, root: Schema, path: str) -> Iterator[str]:
    for name in value if isinstance(value, dict) else ():
        yield from problems(name, schema["propertyNames"], root, path)


def _items(value: Any, schema: Schema, root: Schema, path: str) -> Iterator[str]:
    for number, item in enumerate(value if isinstance(value, list) else ()):
        yield from problems(item, schema["items"], root, f"{path}[{number}]")


def _referred(value: Any, schema: Schema, root: Schema, path: str) -> Iterator[str]:
    yield from problems(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root, path)


def _one_of(value: Any, schema: Schema, root: Schema, path: str) -> Iterator[str]:
    found = [next(problems(value, part, root, path), None) for part in schema["oneOf"]]
    if found.count(None) > 1:
        yield f"{path}: {value!r} is two things at once"
    elif None not in found:
        yield str(found[-1])


def _if(value: Any, schema: Schema, root: Schema, path: str) -> Iterator[str]:
    if next(problems(value, schema["if"], root, path), None) is None:
        yield from problems(value, schema["then"], root, path)


TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
    "any": object,
}
CHECKS: dict[str, tuple[str, Callable[[Any, Any], bool], str]] = {
    "type": ("any", _is, "{value!r} is not of type {limit}"),
    "const": ("any", lambda value, limit: _key(value) == _key(limit), "{limit} was expected"),
    "enum": ("any", lambda value, limit: _key(value) in map(_key, limit), "{value!r} is not one of {limit}"),
    "pattern": ("string", lambda value, limit: bool(re.search(limit, value)), "{value!r} does not match {limit}"),
    "minLength": ("string", lambda value, limit: len(value) >= limit, "{value!r} is too short"),
    "minItems": ("array", lambda value, limit: len(value) >= limit, "{value!r} is too short"),
    "maxItems": ("array", lambda value, limit: len(value) <= limit, "{value!r} is too long"),
    "uniqueItems": ("array", lambda value, limit: len(set(map(_key, value))) == len(value), "{value!r} repeats one"),
    "minimum": ("number", lambda value, limit: value >= limit, "{value!r} is less than {limit}"),
    "maximum": ("number", lambda value, limit: value <= limit, "{value!r} is more than {limit}"),
}
"""Keyword -> kind of the values that it is about, whether a value is as it says, and what is told otherwise."""

PARTS: dict[str, Callable[[Any, Schema, Schema, str], Iterator[str]]] = {
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional,
    "propertyNames": _names,
    "items": _items,
    "$ref": _referred,
    "oneOf": _one_of,
    "if": _if,
    "then": lambda *_: iter(()),
}
"""Keyword -> what is wrong in parts of a value; `then` belongs to `if`."""
