"""What sealed files (`AdaptCore.sealed`) say of themselves, read without loading PyTorch."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from AdaptCore.atomic import unless_busy
from AdaptCore.errors import AdaptSegError, ProfileError, TaskError
from AdaptCore.json_text import parse
from AdaptCore.names import file_stem
from AdaptCore.printable import hidden_in
from AdaptCore.resources import user_folder

MOST_HEADER_BYTES = 100_000_000
"""As in the safetensors library."""

ZIP_START = b"PK\x03\x04"
VERSION = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Kind:
    """What a sealed file is.

    Attributes:
        name: such as "task".
        error: raised when a file is none of this kind, or cannot be used.
        version: of what is in it; newer ones are refused.
        is_private: whether it tells of its user, or of images.
    """

    name: str
    error: type[AdaptSegError]
    version: int = 1
    is_private: bool = False


@dataclass(frozen=True)
class Shelf:
    """The user's sealed files of one kind, in a folder of their own.

    Attributes:
        name: of the folder, in the user's folder.
        end: of the files' names.
    """

    name: str
    end: str
    kind: Kind

    @property
    def folder(self) -> Path:
        return user_folder() / self.name

    def file_name(self, *clean: str) -> str:
        """Of the file that belongs to clean names."""
        return f"{file_stem(*clean, otherwise=self.kind.name)}{self.end}"

    def names(self, fact: str) -> set[str]:
        """What all files that tell a fact, such as "user", say; whether the rest of a file is whole is not looked at.

        Names with hidden characters are left out: no file of ours has them.
        """
        found = set()
        for path in self.folder.glob(f"*{self.end}"):
            with suppress(AdaptSegError):
                found.add(read_facts(path, self.kind).get(fact, ""))
        return {name for name in found if name and not hidden_in(name)}


TASKS = Shelf("tasks", ".task.safetensors", Kind("task", TaskError, version=2, is_private=True))
PROFILES = Shelf("profiles", ".profile.safetensors", Kind("profile", ProfileError, is_private=True))

OTHERWISE = "default"
"""Task of a profile where none is named."""


def read_facts(path: Path, kind: Kind) -> dict[str, str]:
    """A file's facts alone, its kind and version checked but not its checksum; quick.

    Raises:
        AdaptSegError: as `read_sealed`.
    """

    def header() -> Any:
        with path.open("rb") as stream:
            return _header(stream, path, kind)

    try:
        content = unless_busy(header)
    except OSError as error:
        raise kind.error(f"{path}: The {kind.name} file cannot be read ({error.strerror}).") from error
    metadata = content.get("__metadata__") if isinstance(content, dict) else None
    if not isinstance(metadata, dict) or metadata.get("kind") != f"adaptseg-{kind.name}":
        raise kind.error(f"{path}: Expected a {kind.name} file of AdaptSeg, got another safetensors file.")
    version = metadata.get("version")
    if not all(isinstance(fact, str) for fact in metadata.values()) or not VERSION.fullmatch(str(version)):
        raise damaged(path, kind)
    if int(str(version)) > kind.version:
        raise kind.error(
            f"{path}: Expected a {kind.name} file of version {kind.version}, got version {version} of a newer "
            "AdaptSeg: install that one."
        )
    return metadata


def _header(stream: BinaryIO, path: Path, kind: Kind) -> Any:
    start = stream.read(9)
    if start[8:9] != b"{":
        raise kind.error(f"{path}: Expected a {kind.name} file of AdaptSeg, got {kind_of(start)}.")
    length = int.from_bytes(start[:8], "little")
    if length > MOST_HEADER_BYTES:
        raise damaged(path, kind)
    try:
        return parse(start[8:] + stream.read(length - 1))
    except ValueError as error:
        raise damaged(path, kind) from error


def kind_of(start: bytes) -> str:
    """What a file seems to be, judged by its first bytes."""
    if not start:
        return "an empty file"
    if start.startswith(ZIP_START):
        return "a PyTorch file"
    if start[8:9] == b"{":
        return "a safetensors file"
    if start.lstrip().startswith(b"<"):
        return "a web page"
    return f"a file that begins with {start[:8]!r}"


def damaged(path: Path, kind: Kind) -> AdaptSegError:
    return kind.error(f"{path}: The {kind.name} file is cut short or damaged. Choose a whole one.")
