"""Pictures for the page."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image


def data_address(picture: np.ndarray) -> str:
    """A picture, uint8 (height, width, 3), as an address that holds it."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
