"""What catalogues and citations say of the extension: of one version, at one address, with pictures that are there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import AdaptCore
from AdaptCore.commands.bench_all import OBJECTS, PLANES, VESSELS

ADDRESS = "https://example.org/InteractiveAdaptSeg"
"""Stands for the address of the published repository."""

HOLDERS = (
    "CITATION.cff",
    "CMakeLists.txt",
    "InteractiveAdaptSeg.json",
    "InteractiveAdaptSeg/InteractiveAdaptSeg.py",
    "pyproject.toml",
)


def text_of(repository: Path, name: str) -> str:
    return (repository / name).read_text(encoding="utf-8")


def metadata(repository: Path) -> dict[str, str]:
    """EXTENSION_... of the extension's CMakeLists.txt."""
    return dict(re.findall(r'set\(EXTENSION_(\w+) "(.*)"\)', text_of(repository, "CMakeLists.txt")))


@pytest.fixture
def an_entry(repository: Path) -> dict[str, Any]:
    """The entry in Slicer's catalogue."""
    return dict(json.loads(text_of(repository, "InteractiveAdaptSeg.json")))


@pytest.fixture
def a_schema(repository: Path) -> dict[str, Any]:
    """Of the entry in Slicer's catalogue."""
    schema = dict(json.loads(text_of(repository, "Testing/cmake/catalogue-entry.schema.json")))
    jsonschema.Draft7Validator.check_schema(schema)
    return schema


def test_the_catalogue_entry_follows_its_schema(an_entry: dict[str, Any], a_schema: dict[str, Any]) -> None:
    jsonschema.validate(an_entry, a_schema)


@pytest.mark.parametrize("change", [{"tier": 2}, {"scmurl": ADDRESS}, {"scm_url": "git@example.org:x"}])
def test_another_entry_would_not(an_entry: dict[str, Any], a_schema: dict[str, Any], change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**an_entry, **change}, a_schema)


def test_the_catalogue_entry_says_what_the_extension_says(repository: Path, an_entry: dict[str, Any]) -> None:
    told = metadata(repository)
    assert an_entry["category"] == told["CATEGORY"]
    assert an_entry["build_dependencies"] == told["DEPENDS"].split()
    assert an_entry["scm_url"] == told["HOMEPAGE"] == ADDRESS
    assert text_of(repository, "CMakeLists.txt").count(f"project({'InteractiveAdaptSeg'})") == 1


def test_the_pictures_of_the_catalogue_are_there_and_are_no_icons(repository: Path) -> None:
    told = metadata(repository)
    screenshots = told["SCREENSHOTURLS"].split()
    assert len(screenshots) >= 3 and told["ICONURL"] not in screenshots
    for address in (*screenshots, told["ICONURL"]):
        assert (repository / address.removeprefix(f"{ADDRESS}/")).is_file(), address
    assert all("/Screenshots/" in address for address in screenshots)


@pytest.mark.parametrize("name", HOLDERS)
def test_there_is_one_address(repository: Path, name: str) -> None:
    found = re.findall(r"https://example\.org[^\s\"'<>]*", text_of(repository, name))
    assert found and all(address == ADDRESS or address.startswith(f"{ADDRESS}/") for address in found)


def test_the_citation_is_of_this_version(repository: Path) -> None:
    citation = yaml.safe_load(text_of(repository, "CITATION.cff"))
    assert citation["version"] == AdaptCore.__version__
    assert citation["license"] == "Apache-2.0"
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["title"].startswith("InteractiveAdaptSeg")


def test_the_changelog_knows_this_version(repository: Path) -> None:
    versions = re.findall(r"^## \[(.+?)\]", text_of(repository, "CHANGELOG.md"), re.MULTILINE)
    assert versions[0] == "Unreleased" and versions[1] == AdaptCore.__version__


def test_the_readme_names_organs_and_no_code_names_of_data_sets(repository: Path) -> None:
    names = {name.split(":")[0] for name in f"{PLANES},{VESSELS},{OBJECTS}".split(",")}
    assert {"drive", "msd_hippocampus", "ct_lesion3d"} < names
    readme = text_of(repository, "README.md")
    assert not [name for name in names if re.search(rf"(?<![\w/.]){name}\b", readme)]
    benchmarks = text_of(repository, "docs/benchmarks.md")
    rows = re.findall(r"^\| ([a-z][^|]*, [^|]*?)(?: \*)? \| [\d.]+ \|", readme, re.MULTILINE)
    organs = {re.sub(r", \d+ (raters|levels)$", "", row) for row in rows}
    assert len(organs) >= 10
    assert not [organ for organ in organs if f"| {organ} | `" not in benchmarks]


def test_the_readme_begins_with_what_matters_to_a_user(repository: Path) -> None:
    readme = text_of(repository, "README.md")
    first = [readme.index(f"**{words}") for words in ("It learns from you", "It runs on your laptop", "It is free")]
    assert first == sorted(first) and first[-1] < readme.index("![")
    assert readme.index("## In 3D Slicer") < readme.index("git clone") and readme.index(
        "## In 3D Slicer"
    ) < readme.index("make demo")
    for heading in ("### Modules", "## How to cite", "## Limits", "## Privacy"):
        assert heading in readme
