"""Downloads the weights of a model beside the window; whole and checked, or nothing is kept."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from AdaptCore.errors import AdaptSegError

if TYPE_CHECKING:
    from AdaptCore.models.registry import ModelEntry

OFFLINE = (
    "Check the internet connection and press Download again, or fetch the file with another computer and take it "
    "with Add file"
)
LAST_WAIT = 1.0
"""Seconds that the end of Slicer waits for a download to be cancelled; the network may take longer to answer."""


class _CancelledError(Exception):
    """The user does not want the file any more."""


class ModelDownload:
    """A download that is under way; it starts at once. The user has agreed to it before.

    Args:
        entry: the model; it has a URL.

    Attributes:
        received: bytes that are there.
        isFetched: whether the file is whole and in its place.
        problem: why it is not, for the user; empty while there is none, and after `cancel`.
    """

    def __init__(self, entry: ModelEntry) -> None:
        self.entry = entry
        self.received = 0
        self.isFetched = False
        self.problem = ""
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="InteractiveAdaptSeg-download", daemon=True)
        self._thread.start()

    @property
    def isUnderWay(self) -> bool:
        return self._thread.is_alive()

    @property
    def isCancelled(self) -> bool:
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Stop at the next block; nothing of the file is kept."""
        self._cancelled.set()

    def close(self) -> None:
        """Cancel, and give the thread a moment to clear up."""
        self.cancel()
        self._thread.join(LAST_WAIT)

    def _run(self) -> None:
        from AdaptCore.errors import ModelError
        from AdaptCore.models import registry

        try:
            registry.fetch_model(
                self.entry.name, lambda question: True, open_url=registry.open_https, received=self._receive
            )
            self.isFetched = True
        except _CancelledError:
            pass
        except ModelError as error:
            self.problem = f"{str(error).rstrip('.')}. {OFFLINE}"
        except AdaptSegError as error:
            self.problem = str(error)

    def _receive(self, count: int) -> None:
        self.received = count
        if self.isCancelled:
            raise _CancelledError
