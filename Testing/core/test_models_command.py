"""`adaptseg models` as a user types it."""

from __future__ import annotations

import argparse
import io
import shutil
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from AdaptCore.commands import models
from AdaptCore.commands.console import quietly
from AdaptCore.errors import CheckpointError, ModelError
from AdaptCore.models.registry import ModelEntry, find_model, sha256_of, user_manifest, write_manifest

pytestmark = pytest.mark.usefixtures("a_home")


@pytest.fixture
def a_server(a_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Offers the model "little"; gives the addresses that were opened."""
    opened: list[str] = []

    def answer(opener: urllib.request.OpenerDirector, url: str, timeout: float) -> io.BytesIO:
        opened.append(url)
        return io.BytesIO(a_checkpoint.read_bytes())

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", answer)
    size, digest, url = a_checkpoint.stat().st_size, sha256_of(a_checkpoint), "https://weights.example.org/little"
    entry = ModelEntry("little", "compact", "little", url, digest, size, "CC0-1.0", "nobody", "", "")
    write_manifest(user_manifest(), (entry,))
    return opened


def adaptseg(*words: str | Path) -> None:
    parser = argparse.ArgumentParser()
    models.add_parser(parser.add_subparsers())
    arguments = parser.parse_args([str(word) for word in words])
    arguments.run(arguments)


def test_list_shows_what_is_here_and_what_can_be_fetched(
    a_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adaptseg("models", "add", a_checkpoint, "--name", "mine", "--licence", "CC0-1.0")
    capsys.readouterr()
    adaptseg("models", "list")
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert list(rows) == ["compact", "compact3d", "sam_vit_b", "sam_vit_l", "sam_vit_h", "mine"]
    assert "to fetch" in rows["sam_vit_h"]
    assert "2564.6 MB" in rows["sam_vit_h"]
    assert rows["mine"].split()[1] == "here"
    assert "CC0-1.0" in rows["mine"]


def test_an_added_model_is_verified(a_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    adaptseg("models", "add", a_checkpoint, "--name", "mine")
    assert "mine: compact" in capsys.readouterr().out
    adaptseg("models", "verify", "mine")
    assert "mine: checksum and architecture are right" in capsys.readouterr().out


def test_verify_looks_at_all_that_is_here(a_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    adaptseg("models", "add", a_checkpoint, "--name", "mine")
    adaptseg("models", "add", a_checkpoint, "--name", "too")
    capsys.readouterr()
    adaptseg("models", "verify")
    names = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert names[-2:] == ["mine", "too"]
    assert "sam_vit_b" not in names


def test_verify_ends_with_the_problem_of_a_changed_file_when_all_are_checked(
    a_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = a_checkpoint.with_name("changed.safetensors")
    shutil.copy(a_checkpoint, changed)
    adaptseg("models", "add", changed, "--name", "mine")
    adaptseg("models", "add", a_checkpoint, "--name", "too")
    changed.write_bytes(changed.read_bytes() + b"x")
    capsys.readouterr()
    with pytest.raises(CheckpointError, match=r"changed\.safetensors: Expected SHA256"):
        adaptseg("models", "verify")
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["compact", "compact3d", "too"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[[Infinity]]", "Expected a model manifest, got damaged JSON (the number Infinity is not finite)."),
        ("[" * 100_000, "Expected a model manifest, got damaged JSON (it is nested too deeply)."),
        ("9" * 5000, "Expected a model manifest, got damaged JSON (a number of 5000 digits)."),
        (
            '{"version": 1}',
            "Expected a model manifest as in models.schema.json, got $: 'models' is a required property.",
        ),
    ],
)
def test_a_damaged_list_of_the_users_models_hides_no_shipped_one(
    content: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    user_manifest().parent.mkdir(parents=True)
    user_manifest().write_text(content, encoding="utf-8")
    adaptseg("models", "list")
    shown = capsys.readouterr()
    shipped, (wrong,) = shown.out.splitlines(), shown.err.splitlines()
    assert [line.split()[0] for line in shipped] == ["compact", "compact3d", "sam_vit_b", "sam_vit_l", "sam_vit_h"]
    assert wrong == f"adaptseg: {user_manifest()}: {reason}"
    with quietly(True):
        adaptseg("models", "list")
    assert capsys.readouterr() == ("", shown.err)
    with pytest.raises(ModelError, match="a model manifest"):
        adaptseg("models", "verify")
    assert capsys.readouterr().out.startswith("compact: checksum and architecture are right")


def test_a_model_whose_place_is_impossible_hides_no_other(
    a_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adaptseg("models", "add", a_checkpoint, "--name", "mine")
    mine = find_model("mine")
    impossible = [replace(mine, name=name, file=file) for name, file in (("nul", "/a\0b"), ("long", f"/{'x' * 5000}"))]
    write_manifest(user_manifest(), (*impossible, replace(mine, licence="MIT\nall\x1b[2Jclear \u202e")))
    capsys.readouterr()
    adaptseg("models", "list")
    nul, long, own = capsys.readouterr().out.splitlines()[-3:]
    assert nul.split()[:2] == ["nul", "missing"] and long.split()[:2] == ["long", "missing"]
    assert own.split()[:2] == ["mine", "here"] and r"MIT\nall\x1b[2Jclear \u202e" in own


@pytest.mark.parametrize("answer", ["y", "Y", " yes "])
def test_fetch_downloads_after_a_yes(
    a_server: list[str], a_home: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr("builtins.input", lambda question: answer)
    adaptseg("models", "fetch", "little")
    assert a_server == ["https://weights.example.org/little"]
    assert sha256_of(a_home / "models" / "little") == find_model("little").sha256


@pytest.mark.parametrize("answer", ["", "n", "no", "yeah right"])
def test_fetch_leaves_the_network_alone_without_a_yes(
    a_server: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str
) -> None:
    monkeypatch.setattr("builtins.input", lambda question: answer)
    adaptseg("models", "fetch", "little")
    assert a_server == []
    assert "Nothing was fetched." in capsys.readouterr().out


def test_fetch_with_nobody_to_answer_asks_for_the_option(a_server: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(ModelError, match="Answer y, or add --yes"):
        adaptseg("models", "fetch", "little")
    assert a_server == []


def test_fetch_with_yes_says_what_it_fetches(a_server: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    adaptseg("models", "fetch", "little", "--yes")
    assert "licence CC0-1.0, from https://weights.example.org/little" in capsys.readouterr().out
    assert len(a_server) == 1


def test_an_action_is_wanted() -> None:
    with pytest.raises(SystemExit):
        adaptseg("models")


def test_a_downloaded_model_is_removed_and_can_be_fetched_again(
    a_server: list[str], a_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adaptseg("models", "fetch", "little", "--yes")
    weights = a_home / "models" / "little"
    assert weights.is_file()
    capsys.readouterr()
    adaptseg("models", "remove", "little")
    assert not weights.exists() and capsys.readouterr().out == "little: 0.5 MB deleted\n"
    with pytest.raises(ModelError, match="'little' is not downloaded: there is nothing to remove"):
        adaptseg("models", "remove", "little")
    adaptseg("models", "fetch", "little", "--yes")
    assert weights.is_file() and len(a_server) == 2


def test_an_added_model_is_forgotten_and_its_file_stays(a_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("mine", "too"):
        adaptseg("models", "add", a_checkpoint, "--name", name)
    capsys.readouterr()
    adaptseg("models", "remove", "mine")
    assert capsys.readouterr().out == f"mine: forgotten; {a_checkpoint} stays where it is\n"
    assert a_checkpoint.is_file() and find_model("too").file == str(a_checkpoint)
    with pytest.raises(ModelError, match="Unknown model 'mine'"):
        adaptseg("models", "remove", "mine")


def test_the_built_in_model_stays(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ModelError, match="'compact' comes with the program and cannot be removed"):
        adaptseg("models", "remove", "compact")
    assert find_model("compact").is_present
