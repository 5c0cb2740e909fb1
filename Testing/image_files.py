"""Writes the image files that the tests of reading, writing and the commands share."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

SPACING = (0.7, 0.8, 2.5)
ORIGIN = (-31.5, 12.25, 105.0)


def oblique_direction(left_handed: bool = False) -> tuple[float, ...]:
    """Direction cosines turned about two axes; `left_handed` mirrors the last axis."""
    a, b = math.radians(25), math.radians(-17)
    about_z = np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]])
    matrix = about_z @ about_x
    if left_handed:
        matrix[:, 2] *= -1
    return tuple(matrix.ravel().tolist())


def make_image(array_kji: np.ndarray, colour: bool = False, left_handed: bool = False) -> sitk.Image:
    image = sitk.GetImageFromArray(array_kji, isVector=colour)
    if image.GetDimension() == 3:
        image.SetSpacing(SPACING)
        image.SetOrigin(ORIGIN)
        image.SetDirection(oblique_direction(left_handed))
    return image


def noise(shape: tuple[int, ...], dtype: type = np.int16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 250, shape).astype(dtype)


def write_disc_volume(path: Path, shape_ijk: tuple[int, int, int] = (48, 40, 7)) -> np.ndarray:
    """A bright ball (radius about 9 in the plane) in noise, anisotropic and oblique; gives the truth (I, J, K)."""
    i, j, k = np.meshgrid(*(np.arange(size) for size in shape_ijk), indexing="ij")
    centre = [size // 2 for size in shape_ijk]
    truth = ((i - centre[0]) / 9) ** 2 + ((j - centre[1]) / 9) ** 2 + ((k - centre[2]) / 2.5) ** 2 <= 1
    values = 100 + 600 * truth + np.random.default_rng(1).normal(0, 15, shape_ijk)
    sitk.WriteImage(make_image(values.astype(np.int16).transpose(2, 1, 0)), str(path))
    return truth


def write_dicom_series(
    folder: Path, uid: str = "1.2.826.1", slices: int = 5, number: int = 1, missing: int | None = None
) -> np.ndarray:
    """CT slices 2.5 mm apart; gives the voxels (K, J, I)."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    voxels = noise((slices, 12, 14), seed=number)
    for k in range(slices):
        if k == missing:
            continue
        image = sitk.GetImageFromArray(voxels[k])
        image.SetSpacing(SPACING[:2])
        for tag, value in {
            "0008|0060": "CT",
            "0008|0018": f"{uid}.{k}",
            "0010|0010": "SECRET^PATIENT",
            "0018|0050": "2.5",
            "0020|000d": "1.2.3",
            "0020|000e": uid,
            "0020|0011": str(number),
            "0020|0013": str(k + 1),
            "0020|0032": f"-10\\-20\\{30 + 2.5 * k}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
        }.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"s{number}_{k:03}.dcm"))
        writer.Execute(image)
    return voxels


def write_one_dimensional(folder: Path) -> list[Path]:
    nrrd, mha, nifti = folder / "line.nrrd", folder / "line.mha", folder / "line.nii"
    nrrd.write_bytes(b"NRRD0004\ntype: short\ndimension: 1\nsizes: 5\nencoding: raw\nendian: little\n\n" + bytes(10))
    mha.write_bytes(
        b"ObjectType = Image\nNDims = 1\nDimSize = 5\nElementType = MET_SHORT\nElementDataFile = LOCAL\n" + bytes(10)
    )
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 1, 5, 1, 1, 1, 1, 1, 1)
    struct.pack_into("<hh", header, 70, 4, 16)
    struct.pack_into("<8f", header, 76, *[1.0] * 8)
    struct.pack_into("<f", header, 108, 352.0)
    header[344:348] = b"n+1\0"
    nifti.write_bytes(bytes(header) + bytes(10))
    return [nrrd, mha, nifti]
