"""Claims: each figure of the README stands in docs/claims.md, with what gave it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

NUMBER = r"-?\d+(?:\.\d+)?"
FIGURES = re.compile(
    rf"{NUMBER}(?:(?:, | and | to |, and ){NUMBER})* %"  # shares
    r"|-?\d+\.\d+"
    r"|\d+(?= (?:ms|MB)\b)"
)
NO_FIGURES = re.compile(
    r"https?://\S+|Apache-\d\.\d|licence \d\.\d|Slicer \d+\.\d+|Python \d\.\d+ to \d\.\d+"
    r"|`[^`]*`|\]\([^)]*\)|95 %(?= interval)"
)
FACTS = ("Command", "Commit", "Seeds", "Sets", "Figures")


def numbers(text: str) -> set[str]:
    return set(re.findall(NUMBER, text))


def figures_of(line: str) -> set[str]:
    """Decimals, percentages and milliseconds or megabytes of a line; of a table's row all numbers behind its name."""
    plain = NO_FIGURES.sub("", line)
    if plain.startswith("|"):
        cells = plain.strip("|").split("|")[1:]
        return {number for cell in cells if re.search(r"\d\.\d| %|, \d", cell) for number in numbers(cell)}
    return {number for match in FIGURES.finditer(plain) for number in numbers(match[0])}


def readme_lines(text: str) -> list[str]:
    """Those that can hold a claim: neither a command nor the developers' part."""
    claims = text.split("## For developers")[0]
    return [line for line in claims.splitlines() if not line.startswith("    ")]


def claims_of(text: str) -> dict[str, dict[str, str]]:
    """Facts by claim, each by its name."""
    found = {}
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        fact = rf"^- \*\*({'|'.join(FACTS)})\*\*:(.*?)(?=^- \*\*|\Z)"
        found[title] = {name: content.strip() for name, content in re.findall(fact, body, re.MULTILINE | re.DOTALL)}
    return found


@pytest.fixture
def claims(repository: Path) -> dict[str, dict[str, str]]:
    return claims_of((repository / "docs" / "claims.md").read_text(encoding="utf-8"))


def unclaimed(readme: str, claims: dict[str, dict[str, str]]) -> list[str]:
    """Lines with figures that no claim has: a row must stand in one of them, prose may speak of several."""
    each = [numbers(claim["Figures"]) for claim in claims.values()]
    together = set().union(*each)
    found = []
    for line in readme_lines(readme):
        figures = figures_of(line)
        holders = each if line.startswith("|") else [together]
        if not any(figures <= holder for holder in holders):
            found.append(line)
    return found


def test_every_figure_of_the_readme_is_a_claim_that_can_be_checked(
    repository: Path, claims: dict[str, dict[str, str]]
) -> None:
    assert unclaimed((repository / "README.md").read_text(encoding="utf-8"), claims) == []


def test_every_claim_has_its_command_commit_seeds_and_sets(claims: dict[str, dict[str, str]]) -> None:
    assert len(claims) > 8
    for title, claim in claims.items():
        assert set(claim) == set(FACTS), title
        assert all(claim.values()), title
        assert re.search(r"\b[0-9a-f]{7}\b", claim["Commit"]), title


def test_a_figure_without_a_claim_is_noticed(claims: dict[str, dict[str, str]]) -> None:
    assert figures_of("saved 45, 40 and 14 % of 0.832, in 48 ms; 95 % interval") == {"45", "40", "14", "0.832", "48"}
    assert figures_of("| a set of 4 | 64 | 0.123 | 45 % (37 to 53) |") == {"0.123", "45", "37", "53"}
    assert figures_of("3D Slicer 5.10 and Python 3.10 to 3.13, Apache-2.0, https://a.b/1.5") == set()
    assert unclaimed("That saves 99.9 % of the clicks.", claims) and unclaimed("| a | 0.9191 |", claims)
