"""Writes DICOM files of every form that the tests of reading need: slices, multi-frame files, and what lies beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SPACING = (0.8, 0.9, 3.0)
ORIGIN = (-40.0, -30.0, 12.0)
Numbers = Sequence[float]


def slice_position(k: int) -> tuple[float, float, float]:
    return ORIGIN[0], ORIGIN[1], ORIGIN[2] + k * SPACING[2]


def write_dicom(path: Path, pixels: np.ndarray | None, **elements: Any) -> Path:
    """Write pixels (rows, columns) or (frames, rows, columns), or an object without; an element of None is left out.

    The first slice of `write_series`, where the elements do not say otherwise.
    """
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    given = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": f"1.2.826.5.{abs(hash(path.name))}",
        "SeriesInstanceUID": "1.2.826.1",
        "StudyInstanceUID": "1.2.826.2",
        "Modality": "CT",
        "PatientName": "SECRET^PATIENT",
        "SeriesNumber": 1,
        "InstanceNumber": 1,
        **({} if pixels is None else _image_elements(pixels)),
        **elements,
    }
    for name, value in given.items():
        if value is not None:
            setattr(dataset, name, value)
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_series(folder: Path, voxels: np.ndarray, skipped: Sequence[int] = (), **elements: Any) -> Path:
    """Write the slices (K, rows, columns) of a series, axial where the elements do not say otherwise."""
    for k, pixels in enumerate(voxels):
        if k not in skipped:
            own = {"ImagePositionPatient": list(slice_position(k)), "InstanceNumber": k + 1, **elements}
            write_dicom(folder / f"s{k:03}.dcm", pixels, **own)
    return folder


def write_enhanced(path: Path, voxels: np.ndarray, frames: Sequence[Mapping[str, Mapping[str, Any]]]) -> Path:
    """Write one file of many frames, each with functional groups: name of the sequence -> its elements."""
    shared = {
        "PlaneOrientationSequence": {"ImageOrientationPatient": list(AXIAL)},
        "PixelMeasuresSequence": {"PixelSpacing": [SPACING[1], SPACING[0]], "SliceThickness": SPACING[2]},
    }
    own = {"ImagePositionPatient": None, "ImageOrientationPatient": None, "PixelSpacing": None, "SliceThickness": None}
    return write_dicom(
        path,
        voxels,
        **own,
        SOPClassUID=EnhancedCTImageStorage,
        SharedFunctionalGroupsSequence=[_groups(shared)],
        PerFrameFunctionalGroupsSequence=[_groups(frame) for frame in frames],
    )


def at(position: Numbers, **groups: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The functional groups of a frame at a position."""
    return {"PlanePositionSequence": {"ImagePositionPatient": list(position)}, **groups}


def _image_elements(pixels: np.ndarray) -> dict[str, Any]:
    bits = 8 * pixels.dtype.itemsize
    frames = {"NumberOfFrames": len(pixels)} if pixels.ndim == 3 else {}
    return {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": pixels.shape[-2],
        "Columns": pixels.shape[-1],
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "ImagePositionPatient": list(ORIGIN),
        "ImageOrientationPatient": list(AXIAL),
        "PixelSpacing": [SPACING[1], SPACING[0]],
        "SliceThickness": SPACING[2],
        "PixelData": pixels.tobytes(),
        **frames,
    }


def _groups(sequences: Mapping[str, Mapping[str, Any]]) -> Dataset:
    groups = Dataset()
    for name, elements in sequences.items():
        item = Dataset()
        for key, value in elements.items():
            setattr(item, key, value)
        setattr(groups, name, [item])
    return groups
