"""The chosen segmentation and segment, for `Choices`, with the interface of Slicer's `qMRMLSegmentSelectorWidget`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Segment:
    """One entry of the list; the colour as CSS has it."""

    id: str
    name: str
    colour: str


class SegmentList:
    """What is chosen; nothing is drawn here.

    Args:
        on_chosen: called with the ID of a segment that becomes the chosen one.
    """

    def __init__(self, on_chosen: Callable[[str], None] = lambda segment_id: None) -> None:
        self.on_chosen = on_chosen
        self._node: Any = None
        self._id = ""

    def currentNode(self) -> Any:  # noqa: N802
        return self._node

    def setCurrentNode(self, node: Any) -> None:  # noqa: N802
        """Show another segmentation; its first segment becomes the chosen one."""
        if node is not self._node:
            self._node = node
            self.setCurrentSegmentID(self._ids[0] if self._ids else "")

    def currentSegmentID(self) -> str:  # noqa: N802
        """The chosen segment; the first one where that is gone."""
        ids = self._ids
        return self._id if self._id in ids else next(iter(ids), "")

    def setCurrentSegmentID(self, segment_id: str) -> None:  # noqa: N802
        if segment_id != self._id:
            self._id = segment_id
            self.on_chosen(segment_id)

    @property
    def segments(self) -> list[Segment]:
        """All segments of the chosen segmentation, in their order."""
        found = [(name, self._node.GetSegmentation().GetSegment(name)) for name in self._ids]
        return [Segment(name, segment.GetName(), _css(segment.GetColor())) for name, segment in found]

    @property
    def _ids(self) -> list[str]:
        if self._node is None or self._node.GetScene() is None:
            return []
        return list(self._node.GetSegmentation().GetSegmentIDs())


def _css(colour: tuple[float, float, float]) -> str:
    return f"rgb({', '.join(str(round(255 * part)) for part in colour)})"
