"""The page's tools for the mouse in the slice views: those for prompts, and window and level."""

from __future__ import annotations

from InteractiveAdaptSegLib.PlaceMode import interactionNode
from InteractiveAdaptSegLib.PromptTools import PromptTools

WINDOW_LEVEL = "windowLevel"


class Tools(PromptTools):
    """One tool at most is in hand."""

    @property
    def name(self) -> str:
        """The tool in hand; empty for none."""
        mouse = interactionNode(self._scene)
        return WINDOW_LEVEL if mouse.GetCurrentInteractionMode() == mouse.AdjustWindowLevel else super().name

    def press(self, name: str) -> None:
        """Take up a tool; put it down where it is in hand.

        Raises:
            ValueError: there is no such tool.
        """
        if name == self.name:
            self.stop()
            self._onChanged()
        else:
            self.take(name)

    def take(self, name: str) -> None:
        """Take up a tool, in place of any other.

        Raises:
            ValueError: there is no such tool.
        """
        if name != WINDOW_LEVEL:
            super().take(name)
            return
        self.stop()
        mouse = interactionNode(self._scene)
        mouse.SetCurrentInteractionMode(mouse.AdjustWindowLevel)
        self._onChanged()

    def stop(self) -> None:
        """Give the mouse back to the views, whatever it is used for."""
        super().stop()
        mouse = interactionNode(self._scene)
        mouse.SetCurrentInteractionMode(mouse.ViewTransform)
