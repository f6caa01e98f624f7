"""Helpers of the format tests: grids in all orientations, DICOM series, world positions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

ORIENTATIONS = [
    np.eye(3)[:, permutation] * signs
    for permutation in map(list, itertools.permutations(range(3)))
    for signs in itertools.product((1, -1), repeat=3)
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "orientation48" in metafunc.fixturenames:
        names = ["".join("+-"[int(c.sum() < 0)] + "xyz"[int(np.abs(c).argmax())] for c in m.T) for m in ORIENTATIONS]
        metafunc.parametrize("orientation48", ORIENTATIONS, ids=names)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = Path(__file__).parents[2].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared data are not beside the repository")
    return folder


@pytest.fixture(scope="session")
def dicom_files() -> Path:
    import pydicom

    return Path(pydicom.__file__).parent / "data" / "test_files"


WriteSeries = Callable[..., list[Path]]


@pytest.fixture
def write_series() -> WriteSeries:
    return _write_series


def _write_series(
    folder: Path,
    positions: Sequence[Sequence[float]],
    *,
    orientation: Sequence[float] = (1, 0, 0, 0, 1, 0),
    series_uid: str | None = None,
    number: int = 1,
    description: str = "axial",
    order: Sequence[int] | None = None,
    pixels: NDArray[Any] | None = None,
    prefix: str = "IM",
    **tags: Any,
) -> list[Path]:
    """CT slices of 4 x 5 at ``positions``, named in ``order``; slice i is filled with 100 * i + place."""
    folder.mkdir(parents=True, exist_ok=True)
    uid = series_uid or generate_uid()
    written = []
    for name, i in enumerate(order if order is not None else range(len(positions))):
        samples = pixels[i] if pixels is not None else (np.arange(20).reshape(4, 5) + 100 * i).astype(np.int16)
        dataset = _slice(samples, uid)
        dataset.SeriesNumber, dataset.SeriesDescription, dataset.InstanceNumber = number, description, i + 1
        dataset.ImagePositionPatient = [float(v) for v in positions[i]]
        dataset.ImageOrientationPatient = [float(v) for v in orientation]
        for key, value in tags.items():
            setattr(dataset, key, value[i] if isinstance(value, list) else value)
        path = folder / f"{prefix}{name:04d}"
        dataset.save_as(path, enforce_file_format=True)
        written.append(path)
    return written


def _slice(samples: NDArray[Any], series_uid: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", Dataset(), file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.SeriesInstanceUID, dataset.StudyInstanceUID, dataset.Modality = series_uid, "1.2.3", "CT"
    dataset.Rows, dataset.Columns = samples.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    bits = samples.dtype.itemsize * 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(samples.dtype.kind == "i")
    dataset.PixelSpacing = [0.5, 0.25]
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
    dataset.PixelData = samples.tobytes()
    return dataset
