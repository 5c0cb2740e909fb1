"""Records of arrays: two of them cannot be compared by value, since an array's == gives an array."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
import torch

import AdaptCore
from AdaptCore.models.base import Decoding

ARRAY = re.compile(r"\b(ndarray|NDArray|Tensor|Field|Mask|Mixture|Statistics|Belief)\b")


def dataclasses_of(package: str) -> Iterator[Any]:
    for found in pkgutil.iter_modules([f"{AdaptCore.__path__[0]}/{package}"], f"AdaptCore.{package}."):
        for content in vars(importlib.import_module(found.name)).values():
            if isinstance(content, type) and is_dataclass(content) and content.__module__ == found.name:
                yield content


def holds_arrays(record: Any) -> bool:
    types = [str(field.type) for field in fields(record)]
    return any(ARRAY.search(name) and not name.startswith("Callable") for name in types)


@pytest.mark.parametrize("package", ["adapt", "cohort", "evaluate", "models", "predict", "preference", "training"])
def test_no_dataclass_with_arrays_is_compared_field_by_field(package: str) -> None:
    with_arrays = [each for each in dataclasses_of(package) if holds_arrays(each)]
    assert with_arrays
    assert [each.__qualname__ for each in with_arrays if each.__dataclass_params__.eq] == []


def test_records_of_arrays_can_be_told_apart_and_kept_in_a_set() -> None:
    one = Decoding(torch.zeros(1, 2, 2), torch.zeros(1))
    same = replace(one)
    assert one == one
    assert one != same
    assert len({one, same, one}) == 2
