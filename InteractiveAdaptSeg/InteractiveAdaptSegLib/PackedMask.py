"""Masks as short text, so that they can be saved in a node's attributes."""

from __future__ import annotations

import base64
import math
import zlib

import numpy as np


def packMask(mask: np.ndarray) -> str:
    """A mask, bool of any shape, as text."""
    return base64.b64encode(zlib.compress(np.packbits(mask).tobytes())).decode("ascii")


def unpackMask(text: str, shape: tuple[int, ...]) -> np.ndarray:
    """The mask, bool of a shape, that `packMask` made this text of."""
    bits = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    return np.unpackbits(bits, count=math.prod(shape)).reshape(shape).astype(bool)
