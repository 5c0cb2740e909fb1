"""Points in a slice view become prompts of the plane that it shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from AdaptCore.errors import PromptError
from AdaptCore.prompts import Box, Click, Lasso
from InteractiveAdaptSegLib.Errors import SceneError
from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld, slicePlane, worldPoint

if TYPE_CHECKING:
    from AdaptCore.predict.geometry import PlaneGeometry

World = Sequence[float]
"""A point (R, A, S), mm."""


class WorldPrompts:
    """The plane of a volume that a slice view shows, and the way from world points to prompts on it.

    Args:
        ofObject: whether the prompts are to be about the whole object.

    Attributes:
        geometry: the plane.

    Raises:
        SceneError: there is no view, it does not pass through the volume, or that is under a non-linear transform.
    """

    def __init__(self, sliceNode: Any, volumeNode: Any, ofObject: bool = False) -> None:
        if sliceNode is None:
            raise SceneError("prompts are given in slice views: click in one of them")
        self.geometry: PlaneGeometry = replace(slicePlane(sliceNode, volumeNode), of_object=ofObject)
        self._toVoxels = np.linalg.inv(ijkToWorld(volumeNode))

    def clicks(self, worldPoints: Sequence[World], positive: bool) -> tuple[Click, ...]:
        """The clicks that a stroke becomes.

        Raises:
            PromptError: it has no point or leaves the plane.
        """
        from AdaptCore.predict.plane import stroke_clicks

        with _refusedInViewWords(
            "you clicked outside the volume" if len(worldPoints) == 1 else "the scribble leaves the volume"
        ):
            return stroke_clicks(map(self._pixel, worldPoints), positive, self.geometry.shape)

    def box(self, corners: Sequence[World]) -> Box | None:
        """The box, along the volume's axes, around some corners.

        Raises:
            PromptError: it has no size or misses the plane.
        """
        from AdaptCore.predict.plane import plane_box

        columns, rows = zip(*map(self._pixel, corners))
        with _refusedInViewWords("the box lies outside the volume"):
            return plane_box(min(columns), min(rows), max(columns), max(rows), self.geometry.shape)

    def lasso(self, worldPoints: Sequence[World]) -> Lasso:
        """The closed outline through some points, simplified if it is long.

        Raises:
            PromptError: it has too few points, or goes around no pixel.
        """
        from AdaptCore.predict.plane import plane_lasso

        with _refusedInViewWords("the lasso goes around nothing of the volume"):
            return plane_lasso(map(self._pixel, worldPoints), self.geometry.shape)

    def _pixel(self, world: World) -> tuple[float, float]:
        return self.geometry.pixel(worldPoint(self._toVoxels, world).tolist())


@contextmanager
def _refusedInViewWords(problem: str) -> Iterator[None]:
    """Refuse what does not fit the plane in words of the view; pixels of the plane say nothing to who looks at it."""
    try:
        yield
    except PromptError as error:
        raise PromptError(f"{problem}: nothing has changed. Point at the object within the image.") from error
