"""A model that can be downloaded: its entry among the user's models, and the server that has its file."""

from __future__ import annotations

import io
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from AdaptCore.models import registry
from AdaptCore.models.registry import ModelEntry, user_manifest, write_manifest
from Testing.small_model import write_small_model

URL = "https://weights.example.org/little.safetensors"
PATIENCE = 20.0


class Server:
    """Sends the file, after `sends` so many blocks only when `goes_on` is set.

    Attributes:
        content: of the file that is sent.
        asked: addresses that were opened.
        error: raised in place of an answer.
    """

    def __init__(self, folder: Path) -> None:
        write_small_model(folder / "served.safetensors")
        self.content = (folder / "served.safetensors").read_bytes()
        self.asked: list[str] = []
        self.error: OSError | None = None
        self.sends: int | None = None
        self.halted, self.goes_on = threading.Event(), threading.Event()
        self.entry = ModelEntry(
            name="little",
            architecture="compact",
            file="little.safetensors",
            url=URL,
            sha256=registry.sha256_of(folder / "served.safetensors"),
            size=len(self.content),
            licence="CC0-1.0",
            citation="nobody",
            description="A little model.",
            modality_notes="For tests.",
        )
        write_manifest(user_manifest(), (self.entry,))

    def open(self, url: str) -> Stream:
        self.asked.append(url)
        if self.error is not None:
            raise self.error
        return Stream(self)

    def make_sam(self) -> None:
        """Let the entry be one of the SAM architecture."""
        self.entry = replace(self.entry, architecture="sam_vit_b")
        write_manifest(user_manifest(), (self.entry,))


class Stream(io.BytesIO):
    """What the server sends."""

    def __init__(self, server: Server) -> None:
        super().__init__(server.content)
        self.server, self.blocks = server, 0

    def read(self, size: int | None = -1, /) -> bytes:
        if self.blocks == self.server.sends:
            self.server.halted.set()
            assert self.server.goes_on.wait(PATIENCE)
        self.blocks += 1
        return super().read(size)


def a_server_at(folder: Path, patch: pytest.MonkeyPatch) -> Server:
    """The server in place of the network; ADAPTSEG_HOME is set before."""
    server = Server(folder)
    patch.setattr(registry, "open_https", server.open)
    return server
