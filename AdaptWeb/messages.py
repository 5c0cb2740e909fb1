"""What the page tells: one message at a time, and why something was refused."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from AdaptCore.errors import AdaptSegError, ImageError
from AdaptCore.printable import printable
from InteractiveAdaptSegLib.Errors import Refusal
from InteractiveAdaptSegLib.Words import sentence

logger = logging.getLogger(__name__)

UNEXPECTED = Refusal("Something unexpected has gone wrong: the terminal says where. Go on, or undo the last step.")


class Messages:
    """Shows messages in the page.

    Args:
        state: of the page.
        on_done: called after each of the user's calls.
    """

    def __init__(self, state: Any, on_done: Callable[[], None]) -> None:
        self._state = state
        self._on_done = on_done
        self.show("")

    def show(self, text: str) -> None:
        """Show a message in place of the one before; a `Refusal` has an icon."""
        is_refusal = isinstance(text, Refusal)
        self._state.message = printable(_told(text) if is_refusal else text)
        self._state.is_refusal = is_refusal

    @contextmanager
    def reported(self) -> Iterator[None]:
        """What the user can act on is shown in the page; of anything else, the terminal gets the place in the code."""
        self.show("")
        try:
            yield
        except AdaptSegError as error:
            self.show(refusal(error))
        except Exception as error:
            log_place(error)
            self.show(UNEXPECTED)
        self._on_done()


class FileRefusal(Refusal):
    """A refusal that begins with the name of a file, which is shown as it is."""


def refusal(error: AdaptSegError) -> Refusal:
    """What is shown of an error."""
    return FileRefusal(error) if isinstance(error, ImageError) else Refusal(error)


def _told(text: str) -> str:
    return text if isinstance(text, FileRefusal) else sentence(text)


def log_place(error: Exception) -> None:
    """Log where an error arose, and not what it says: that may name files or patients."""
    place = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s in\n%s", type(error).__name__, place)
