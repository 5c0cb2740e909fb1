"""Writes NIfTI files whose header says what a test needs, also what no good program would say."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel
import numpy as np


def write_nifti(
    path: Path,
    voxels: np.ndarray,
    sform: np.ndarray | None = None,
    qform: np.ndarray | None = None,
    codes: tuple[int, int] = (1, 1),
    **fields: Any,
) -> Path:
    """Write voxels (I, J, K, ...) with places in RAS.

    Args:
        codes: of qform and sform.
        fields: of the header, written last.
    """
    header = nibabel.Nifti1Header()
    header.set_data_dtype(voxels.dtype)
    header.set_data_shape(voxels.shape)
    plain = np.diag([1.0, 1.0, 2.0, 1.0])
    header.set_sform(plain if sform is None else sform, codes[1])
    header.set_qform(plain if qform is None else qform, codes[0])
    header["vox_offset"] = 352
    for name, value in fields.items():
        header[name] = value
    content = header.binaryblock + bytes(4) + voxels.tobytes(order="F")
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path
