"""README and pages: their links lead somewhere, and their commands are commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from AdaptCore.cli import build_parser


def documents(repository: Path) -> list[Path]:
    return [repository / "README.md", *sorted((repository / "docs").glob("*.md"))]


def example_commands(text: str) -> list[str]:
    """The indented lines that call adaptseg, without its name and comments."""
    return [match[1] for match in re.finditer(r"^ {4}adaptseg (.+?)(?: +#.*)?$", text, re.MULTILINE)]


def test_every_link_to_a_file_leads_to_one(repository: Path) -> None:
    broken = {
        f"{document.name}: {link}"
        for document in documents(repository)
        for link in re.findall(r"\]\((?!https?://)([^)#]+)\)", document.read_text(encoding="utf-8"))
        if not (document.parent / link).is_file()
    }
    assert not broken


def test_every_example_is_a_command_that_exists(repository: Path) -> None:
    examples = [
        command for path in documents(repository) for command in example_commands(path.read_text(encoding="utf-8"))
    ]
    assert len(examples) > 12
    for example in examples:
        if example == "--help":
            continue
        build_parser().parse_args(shlex.split(example))


def test_an_option_that_does_not_exist_would_be_noticed() -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(
            shlex.split(example_commands("    adaptseg segment a.nrrd --no-such-option  # why")[0])
        )


def test_every_make_target_of_the_readme_exists(repository: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (repository / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(
        re.findall(r"^ {4}(?:\S+=\S+ )?make ([a-z-]+)", (repository / "README.md").read_text("utf-8"), re.MULTILINE)
    )
    assert {"demo", "test"} <= named <= targets
