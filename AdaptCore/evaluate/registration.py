"""Rival of one-label propagation: the template's label, deformed onto a volume by registration of intensities."""

from __future__ import annotations

from typing import Any

import numpy as np

from AdaptCore.predict.intensity import apply_window, auto_window

ITERATIONS = 60
SMOOTHING_VOXELS = 1.5
HISTOGRAM_LEVELS = 128
HISTOGRAM_POINTS = 10


def registered_label(template: np.ndarray, label: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Diffeomorphic demons (Vercauteren et al. 2009, SimpleITK) from centre on centre, after histogram matching.

    Args:
        template, image: (I, J, K) each, of equal voxel spacing.
        label: classes of the template, uint8.

    Returns:
        Classes uint8 of the image's shape.
    """
    import SimpleITK as sitk  # noqa: N813

    fixed, moving = (_float_image(volume) for volume in (image, template))
    centred = sitk.CenteredTransformInitializer(
        fixed, moving, sitk.AffineTransform(3), sitk.CenteredTransformInitializerFilter.GEOMETRY
    )
    laid = sitk.Resample(moving, fixed, centred, sitk.sitkLinear, 0.0)
    matched = sitk.HistogramMatching(laid, fixed, HISTOGRAM_LEVELS, HISTOGRAM_POINTS, True)
    demons = sitk.DiffeomorphicDemonsRegistrationFilter()
    demons.SetNumberOfIterations(ITERATIONS)
    demons.SetStandardDeviations(SMOOTHING_VOXELS)
    field = sitk.DisplacementFieldTransform(sitk.Cast(demons.Execute(fixed, matched), sitk.sitkVectorFloat64))
    whole = sitk.CompositeTransform([centred, field])
    carried = sitk.Resample(sitk.GetImageFromArray(label.T), fixed, whole, sitk.sitkNearestNeighbor, 0)
    return sitk.GetArrayFromImage(carried).T


def _float_image(volume: np.ndarray) -> Any:
    import SimpleITK as sitk  # noqa: N813

    return sitk.GetImageFromArray(np.ascontiguousarray(apply_window(volume, auto_window(volume)).T))
