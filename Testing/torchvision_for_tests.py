"""Lets torchvision import beside a torch it has no compiled operators for (test environment only).

The CPU build of torch has no matching torchvision on the package index, so the tests install torchvision without its
dependencies. Its import then stops at "operator torchvision::nms does not exist", although segment_anything needs
nothing but its image resizing. `import_torchvision` declares the two missing schemas and imports it again.
Users install a torchvision that matches their torch; the product never does this.
"""

from __future__ import annotations

import functools
import importlib
from types import ModuleType

import torch

NON_MAXIMUM_SUPPRESSION = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


@functools.cache
def import_torchvision() -> tuple[ModuleType, torch.library.Library | None]:
    """Import torchvision; cached, because the schemas live as long as the returned library.

    Raises:
        ImportError: torchvision is not installed.
    """
    try:
        return importlib.import_module("torchvision"), None
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(operator + NON_MAXIMUM_SUPPRESSION)
    return importlib.import_module("torchvision"), library
