"""The help of every command, `--quiet`, and the completion of the shell."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from AdaptCore.cli import build_parser, leaves, main
from AdaptCore.commands.console import plain_warnings, progress_bar, quietly, say

pytestmark = pytest.mark.usefixtures("a_home")


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The command and all commands below it."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from parsers(child)


@pytest.mark.parametrize("parser", [*parsers(build_parser())], ids=lambda parser: parser.prog)
def test_every_command_and_argument_says_in_plain_words_what_it_is(parser: argparse.ArgumentParser) -> None:
    silent = [
        action.dest
        for action in parser._actions
        if not (action.help or isinstance(action, argparse._SubParsersAction)) or action.help == argparse.SUPPRESS
    ]
    assert not silent
    assert parser.description and parser.description.endswith(".")
    text = parser.format_help()
    assert not [word for word in ("Raises", "Error", "Benchmark of", "`", "None") if word in text]


def test_all_commands_are_found() -> None:
    names = {leaf.prog.removeprefix("adaptseg ") for leaf in leaves(build_parser())}
    assert {"segment", "demo", "train", "models remove", "bench clicks", "cohort next", "profiles undo"} <= names
    assert len(names) > 30


def test_quiet_shows_no_results_and_still_shows_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["models", "list"]) == 0
    assert "compact" in capsys.readouterr().out
    assert main(["models", "remove", "compact", "--quiet"]) == 2
    assert capsys.readouterr() == ("", "adaptseg: Model 'compact' comes with the program and cannot be removed.\n")


def completions(line: str, folder: Path) -> list[str]:
    """What the shell would offer for a line."""
    answer = folder / "answer"
    environment = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    subprocess.run([sys.executable, "-m", "AdaptCore.cli"], env=environment, check=True)
    return [word.strip() for word in answer.read_text(encoding="utf-8").splitlines()]


def test_the_shell_completes_commands_and_options(tmp_path: Path) -> None:
    pytest.importorskip("argcomplete")
    assert completions("adaptseg mod", tmp_path) == ["models"]
    assert completions("adaptseg models re", tmp_path) == ["remove"]
    assert "--propagate" in completions("adaptseg segment --pro", tmp_path)


def test_quiet_hides_progress_and_no_warning(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with plain_warnings(), quietly(True):
        assert progress_bar(3, "segmenting").disable is True
        say("a result")
        warnings.warn("a warning", stacklevel=1)
    assert capsys.readouterr() == ("", "adaptseg: warning: a warning\n")
    say("a result")
    assert capsys.readouterr().out == "a result\n"
    with progress_bar(3, "segmenting") as bar:
        assert not bar.disable
