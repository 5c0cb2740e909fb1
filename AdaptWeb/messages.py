"""What the page tells: one message at a time, and why something was refused."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from AdaptCore.errors import AdaptSegError
from AdaptCore.printable import printable
from InteractiveAdaptSegLib.Words import sentence

logger = logging.getLogger(__name__)

UNEXPECTED = "Something unexpected has gone wrong: the terminal says where. Go on, or undo the last step."


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

    def show(self, text: str, is_refusal: bool = False) -> None:
        """Show a message in place of the one before."""
        self._state.message, self._state.is_refusal = printable(text), is_refusal

    @contextmanager
    def reported(self) -> Iterator[None]:
        """What the user can act on is shown in the page; of anything else, the terminal gets the place in the code."""
        self.show("")
        try:
            yield
        except AdaptSegError as error:
            self.show(sentence(str(error)), is_refusal=True)
        except Exception as error:
            log_place(error)
            self.show(UNEXPECTED, is_refusal=True)
        self._on_done()


def log_place(error: Exception) -> None:
    """Log where an error arose, and not what it says: that may name files or patients."""
    place = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s in\n%s", type(error).__name__, place)
