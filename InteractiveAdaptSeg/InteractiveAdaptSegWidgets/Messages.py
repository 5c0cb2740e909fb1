"""The line of the panel that tells what goes beyond the status: news, and why something was refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import slicer
from slicer.i18n import tr as _

from AdaptCore.errors import AdaptSegError
from AdaptCore.printable import printable


class Messages:
    """Shows one message at a time.

    Args:
        label: shows the text.
        onDone: called after each of the user's calls.
    """

    def __init__(self, label: Any, onDone: Callable[[], None]) -> None:
        self._label = label
        self._onDone = onDone

    def show(self, text: str) -> None:
        """Show a message in place of the one before."""
        self._label.text = printable(text)

    @contextmanager
    def reported(self) -> Iterator[None]:
        """What the user can act on is shown in the panel, anything else in Slicer's error window."""
        self.show("")
        with slicer.util.tryWithErrorDisplay(_("Unexpected error."), waitCursor=True):
            try:
                yield
            except AdaptSegError as error:
                self.show(str(error))
        self._onDone()
