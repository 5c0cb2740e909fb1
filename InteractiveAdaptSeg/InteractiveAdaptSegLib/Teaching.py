"""Accepted masks are learnt, once what they say about their planes is known."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from AdaptCore.errors import AdaptSegError
from InteractiveAdaptSegLib.Answering import Answering
from InteractiveAdaptSegLib.Asker import Asker, RegionQuestion
from InteractiveAdaptSegLib.Region import Mask
from InteractiveAdaptSegLib.Target import Target

if TYPE_CHECKING:
    from AdaptCore.predict.geometry import PlaneGeometry
    from AdaptCore.predict.learning import Example


class Teaching:
    """Teaches task and profile.

    Args:
        onMessage: called with what the user should know.
    """

    def __init__(self, answering: Answering, asker: Asker, onMessage: Callable[[str], None]) -> None:
        self._answering = answering
        self._asker = asker
        self._onMessage = onMessage

    def teach(
        self,
        target: Target,
        geometry: PlaneGeometry,
        mask: Mask | None,
        goOn: Callable[[], None],
        takeBack: Callable[[], None] = lambda: None,
    ) -> None:
        """Let a mask that is written already be learnt, None for nothing, and go on; errors take nothing back.

        What is not embedded yet, or no longer, is embedded first, beside the window if that is slow; `takeBack` is
        called if the user does not wait for that.
        """
        if mask is None or not self._answering.teaches:
            goOn()
            return
        region = target.region(geometry)
        found: list[Example] = []

        def prepare() -> None:
            with suppress(AdaptSegError):  # it comes again where it is told
                found.extend(region.examples(mask))

        def learn() -> None:
            try:
                region.teach(mask, found or None)
            except AdaptSegError as error:
                self._onMessage(f"The mask is accepted, but nothing is learnt from it: {str(error).rstrip('.')}.")
            goOn()

        self._asker.ask(
            RegionQuestion(target, geometry, region.copied(), [], learn, takeBack=takeBack, prepare=prepare)
        )
