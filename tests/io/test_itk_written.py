"""Files that ITK wrote are read again before they get their name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bedside import io
from bedside.core.errors import StorageError
from bedside.core.geometry import Geometry
from bedside.io.itk_written import check_written

MASK = np.random.default_rng(0).integers(0, 4, (3, 12, 10)).astype(np.uint8)


@pytest.fixture(params=[".nrrd", ".mha"])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"mask{request.param}"
    io.write_mask(path, MASK, Geometry.create(MASK.shape, (1, 1, 1)))
    return path


def test_a_whole_file_is_taken(written: Path) -> None:
    check_written(written, MASK.nbytes)


def test_a_file_without_its_end_is_not(written: Path) -> None:
    content = written.read_bytes()
    # Every length: nothing of the check may depend on where the disk ran full.
    for length in range(len(content)):
        written.write_bytes(content[:length])
        with pytest.raises(StorageError, match="not complete"):
            check_written(written, MASK.nbytes)


def test_changed_and_missing_samples_are_found(written: Path) -> None:
    content = bytearray(written.read_bytes())
    with pytest.raises(StorageError, match="not complete"):
        check_written(written, MASK.nbytes + 1)
    content[-12] ^= 0xFF
    written.write_bytes(content)
    with pytest.raises(StorageError, match="not complete"):
        check_written(written, MASK.nbytes)
