"""What a user tells the model about one plane: clicks, a box, a scribble, a lasso.

Coordinates are pixels of the plane as (x, y) = (column, row); the centre of the first pixel is (0, 0), so a plane of
H x W pixels reaches from -0.5 to W - 0.5 and to H - 0.5. The dataclasses are frozen: every change gives a new object.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from AdaptCore.errors import PromptError

SEEN_CLICKS = 48
"""Most clicks that a model sees, so that a click costs the same after 200 of them (docs/prediction.md)."""

LATEST_SEEN = 8
"""So many of them are the latest ones."""


@dataclass(frozen=True)
class Click:
    """A point on the object (positive) or on the background (negative).

    Raises:
        PromptError: a coordinate is not finite.
    """

    x: float
    y: float
    positive: bool = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.x) and math.isfinite(self.y)):
            raise PromptError(f"Expected finite coordinates of a click, got ({self.x}, {self.y}).")

    @property
    def pixel(self) -> tuple[int, int]:
        """Column and row of the pixel that it lies in."""
        return math.floor(self.x + 0.5), math.floor(self.y + 0.5)

    def place_in(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """(row, column) of its pixel in an array of a plane (H, W), of the nearest pixel where it lies beside."""
        column, row = self.pixel
        return min(max(row, 0), shape[0] - 1), min(max(column, 0), shape[1] - 1)


CONTRADICTION = "One voxel cannot be on the object and on the background. Leave one out."


def contradict(clicks: Iterable[Click], others: Iterable[Click]) -> bool:
    """Whether one of some clicks lies in the pixel of another one of the other sign."""
    taken = {(*click.pixel, not click.positive) for click in others}
    return any((*click.pixel, click.positive) in taken for click in clicks)


@dataclass(frozen=True)
class Box:
    """An axis-aligned box around the object, x0 < x1 and y0 < y1.

    Raises:
        PromptError: a corner is not finite, or the box has no width or height.
    """

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        corners = (self.x0, self.y0, self.x1, self.y1)
        if not all(math.isfinite(value) for value in corners):
            raise PromptError(f"Expected finite corners of a box, got {corners}.")
        if self.x1 <= self.x0 or self.y1 <= self.y0:
            raise PromptError(f"Expected a box with a width and height above zero (x0 < x1, y0 < y1), got {corners}.")


@dataclass(frozen=True)
class Lasso:
    """A closed outline around the object; the last point is joined to the first.

    Attributes:
        points: (x, y) of its corners, at least three.

    Raises:
        PromptError: too few points, one that is not finite, or an outline without width or height.
    """

    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if len(self.points) < 3:
            raise PromptError(f"Expected a lasso of at least 3 points around the object, got {len(self.points)}.")
        for x, y in self.points:
            if not (math.isfinite(x) and math.isfinite(y)):
                raise PromptError(f"Expected finite coordinates of a lasso, got ({x}, {y}).")
        width, height = (max(values) - min(values) for values in zip(*self.points))
        if width <= 0 or height <= 0:
            raise PromptError(f"Expected a lasso around the object, got a line of {width:g} x {height:g} pixels.")

    @property
    def box(self) -> Box:
        """The smallest box around the outline."""
        columns, rows = zip(*self.points)
        return Box(min(columns), min(rows), max(columns), max(rows))


@dataclass(frozen=True)
class Prompts:
    """All prompts of one plane in the order they were given.

    Attributes:
        clicks: those of scribbles too.
        box: the box, or the one around the lasso.
        lasso: set if the outline of the object was given more closely than by a box.
    """

    clicks: tuple[Click, ...] = ()
    box: Box | None = None
    lasso: Lasso | None = None

    @property
    def seen(self) -> tuple[Click, ...]:
        """The clicks that a model sees: all of them, or the most telling of many, in the order they were given."""
        places = most_telling([(click.x, click.y) for click in self.clicks], [click.positive for click in self.clicks])
        return tuple(self.clicks[place] for place in places)

    def with_scribble(self, stroke: Iterable[Click]) -> Prompts:
        """The same prompts with a stroke after them: a run of clicks of one sign that is one user action."""
        return replace(self, clicks=(*self.clicks, *stroke))

    def with_box(self, box: Box) -> Prompts:
        """The same prompts with this box, in place of an earlier box or lasso."""
        return replace(self, box=box, lasso=None)

    def with_lasso(self, lasso: Lasso) -> Prompts:
        """The same prompts with this lasso and the box around it, in place of an earlier box or lasso."""
        return replace(self, box=lasso.box, lasso=lasso)

    def shifted(self, dx: float, dy: float) -> Prompts:
        """What models see of the prompts, in the coordinates of a plane whose origin lies at (-dx, -dy): no lasso."""
        clicks = tuple(Click(c.x + dx, c.y + dy, c.positive) for c in self.clicks)
        box = self.box and Box(self.box.x0 + dx, self.box.y0 + dy, self.box.x1 + dx, self.box.y1 + dy)
        return Prompts(clicks, box)

    def validate(self, plane_shape: tuple[int, int]) -> None:
        """Check against a plane of (H, W) pixels.

        Raises:
            PromptError: nothing positive is given, or a click lies outside, or the box misses the plane.
        """
        height, width = plane_shape
        for click in self.clicks:
            if not (-0.5 <= click.x <= width - 0.5 and -0.5 <= click.y <= height - 0.5):
                raise PromptError(
                    f"The click at ({click.x:g}, {click.y:g}) is outside the plane of {width} x {height} pixels."
                )
        if self.box and not (
            self.box.x1 > -0.5 and self.box.y1 > -0.5 and self.box.x0 < width - 0.5 and self.box.y0 < height - 0.5
        ):
            corners = f"({self.box.x0:g}, {self.box.y0:g}) to ({self.box.x1:g}, {self.box.y1:g})"
            raise PromptError(f"The box from {corners} is outside the plane of {width} x {height} pixels.")
        if self.box is None and not any(click.positive for click in self.clicks):
            raise PromptError(f"Expected a positive click or a box, got {len(self.clicks)} negative clicks alone.")


def most_telling(
    points: Sequence[tuple[float, ...]], positive: Sequence[bool], most: int = SEEN_CLICKS, latest: int = LATEST_SEEN
) -> list[int]:
    """Places of at most `most` points, in order: the latest, then always the farthest from those of its sign (ours).

    What the others said is in the earlier mask, and every one of them is still obeyed.

    Args:
        points: coordinates of one unit along all axes.
        positive: sign of each.
        latest: how many of the last points are among them.
    """
    if len(points) <= most:
        return list(range(len(points)))
    at, signs = np.array(points), np.array(positive)
    chosen = list(range(len(points) - latest, len(points)))
    away = np.full(len(points), np.inf)
    for step in range(most):
        if step >= latest:
            away[chosen] = -1
            chosen.append(int(away.argmax()))
        from_it = ((at - at[chosen[step]]) ** 2).sum(axis=1)
        away = np.minimum(away, np.where(signs == signs[chosen[step]], from_it, np.inf))
    return sorted(chosen)
