"""Frame: where what was embedded lies on a model's grid, a plane or a window of a volume alike."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
from torch import Tensor


class AnyClick(Protocol):
    """A point on the object or on the background, in what was embedded."""

    @property
    def positive(self) -> bool: ...

    def place_in(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Its place in an array of what was embedded, the nearest one where it lies beside."""
        ...


class Frame(Protocol):
    """An embedding, as far as learning has to know it. The grid has the mask resolution, one length along all axes."""

    @property
    def nbytes(self) -> int:
        """Memory of the features in bytes."""
        ...

    def on_grid(self, click: Any, mask_side: int) -> tuple[float, ...]:
        """A click's coordinates on the grid, along its axes."""
        ...

    def cell(self, click: Any, mask_side: int) -> tuple[int, ...]:
        """The cell that holds a click, the nearest one before the padding."""
        ...

    def inside(self, mask_side: int) -> np.ndarray:
        """bool of the grid, False on cells that are padding by more than a half."""
        ...

    def gridded(self, logits: Tensor, mask_side: int) -> Tensor:
        """Logits of what was embedded, on the grid; float32."""
        ...

    def from_grid(self, logits: Tensor) -> Tensor:
        """Logits on the grid, of what was embedded; float32."""
        ...


AnyQuestion = Any
"""What a decoder is asked: a `Question` on a plane, or a `VolumeQuestion` in a window.

Both have an `embedding`, which is a `Frame`, `clicks` in order, `maps` on its grid, `nbytes` without the embedding, a
method `without` that leaves out the latest clicks, `is_opening`, `opening` and `decoded_by`.
"""


def equivalent_radius(cells: float, axes: int) -> float:
    """Radius of a circle or ball of so many cells."""
    return math.sqrt(cells / math.pi) if axes == 2 else (0.75 * cells / math.pi) ** (1 / 3)
