"""Files that are dropped on the page: kept in a temporary folder until the server ends, within bounds."""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from AdaptCore.errors import ImageError
from AdaptCore.printable import printable
from AdaptWeb.files import Source, sources

MOST_BYTES = 4 * 1024**3
MOST_FILES = 10_000
"""Of all drops together, and of what a zip file holds."""

PIECE = 1024**2
DROP = re.compile(r"[0-9a-f]{16}")
LONGEST_NAME = 100


class Uploads:
    """Takes files in. Of their names, only the last part is kept: none leads out of the folder of its drop."""

    def __init__(self) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="adaptseg-web-", ignore_cleanup_errors=True)
        self._bytes = self._files = 0

    def close(self) -> None:
        """Delete all that was uploaded."""
        self._home.cleanup()

    async def take(self, drop: str, name: str, pieces: AsyncIterator[bytes]) -> None:
        """Take one file of a drop.

        Raises:
            ImageError: the name cannot be used, it is too much, or it does not fit on the disk; the file is not kept.
        """
        path = self._path(self._folder(drop), name)
        try:
            with path.open("wb") as file:
                async for piece in pieces:
                    self._count(path.name, len(piece))
                    file.write(piece)
        except BaseException as error:
            self._forget(path)
            if isinstance(error, OSError) and not isinstance(error, ConnectionError):
                raise ImageError(f"{printable(path.name)}: The file cannot be kept ({error.strerror}).") from error
            raise

    def end(self, drop: str) -> list[Source]:
        """What can be opened of a drop that is complete.

        Raises:
            ImageError: nothing was dropped, or a zip file is damaged or holds too much.
        """
        folder = self._folder(drop)
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() == ".zip":
                self._unpack(path, folder)
        files = sorted(folder.iterdir())
        if not files:
            raise ImageError("Nothing was uploaded: drop images, a DICOM folder, or a zip file of one.")
        found = sources(files if len(files) == 1 else [folder])
        return [replace(source, name="DICOM folder") if source.path == folder else source for source in found]

    def drop(self, drop: str) -> None:
        """Delete what was taken of a drop that cannot be used."""
        for path in self._folder(drop).iterdir():
            self._forget(path)

    def _folder(self, drop: str) -> Path:
        if not DROP.fullmatch(drop):
            raise ImageError("The upload cannot be used: load the page again.")
        folder = Path(self._home.name) / drop
        folder.mkdir(exist_ok=True)
        return folder

    def _unpack(self, path: Path, folder: Path) -> None:
        """Put the files of a zip file into the folder; what folders they lie in, or lead to, does not count."""
        try:
            with zipfile.ZipFile(path) as archive:
                for member in archive.infolist():
                    if member.is_dir():
                        continue
                    with archive.open(member) as source, self._path(folder, member.filename).open("wb") as target:
                        while piece := source.read(PIECE):
                            self._count(path.name, len(piece))
                            target.write(piece)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            raise ImageError(f"{printable(path.name)}: The zip file is damaged or encrypted.") from error
        finally:
            self._forget(path)

    def _forget(self, path: Path) -> None:
        """Delete a file, which no longer counts."""
        self._files -= 1
        if path.exists():
            self._bytes -= path.stat().st_size
            path.unlink()

    def _path(self, folder: Path, name: str) -> Path:
        """Where a file goes; files of one name come from different folders, and all of them are kept."""
        name = _file_name(name)
        self._files += 1
        if self._files > MOST_FILES:
            raise ImageError(f"{printable(name)}: More than {MOST_FILES} files. Give the folder on the command line.")
        path = folder / name
        return path if not path.exists() else folder / f"{self._files:05d}-{name}"

    def _count(self, name: str, size: int) -> None:
        if self._bytes + size > MOST_BYTES:
            raise ImageError(
                f"{printable(name)}: More than {MOST_BYTES // 1024**3} GB of uploads. Give large "
                "images on the command line."
            )
        self._bytes += size


def _file_name(name: str) -> str:
    """The last part of a name, on whichever system it was written.

    Raises:
        ImageError: there is none, or it cannot be a file's.
    """
    last = PurePosixPath(name.replace("\\", "/")).name
    if last in ("", ".", "..") or not last.isprintable() or any(letter in '<>:"|?*' for letter in last):
        raise ImageError(f"Expected the name of a file, got '{printable(name[:LONGEST_NAME])}'.")
    return last[-LONGEST_NAME:]
