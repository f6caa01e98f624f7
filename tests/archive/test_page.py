"""The page about the PACS: its blocks are run as they stand, against a real one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from docs_tools.blocks import blocks_in, environment_of_this_python, run_blocks
from docs_tools.links import ROOT
from tests.support.dicom_sources import write_series
from tests.support.orthanc import PASSWORD, USER, Orthanc

PAGE = "docs/how-to/pacs.md"
SHAPE = (12, 16, 20)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["web", "dicom"])
def test_the_examples_of_the_page_run(orthanc: Orthanc, tmp_path: Path, protocol: str) -> None:
    for reason in ("highdicom", "dicomanonymizer"):
        pytest.importorskip(reason)
    files = write_series(tmp_path / "ct", SHAPE, spacing=(0.7, 0.9, 2.5))
    for z, file in enumerate(files):
        header = pydicom.dcmread(file)
        samples = np.full(SHAPE[1:], 20, np.uint16)
        if 4 <= z < 9:
            samples[5:10, 6:12] = 300
        header.PixelData = samples.tobytes()
        header.save_as(file)
        orthanc.ask("/instances", method="POST", body=file.read_bytes())
    environment = {
        **environment_of_this_python(),
        "BEDSIDE_PACS": orthanc.web if protocol == "web" else orthanc.dicom,
        "BEDSIDE_PACS_USER": USER,
        "BEDSIDE_PACS_PASSWORD": PASSWORD,
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    blocks = blocks_in(PAGE, (ROOT / PAGE).read_text(encoding="utf-8"))
    if protocol == "dicom":
        # DIMSE knows no credentials, and says so.
        blocks = [block for block in blocks if "credentials" not in block.text]
    assert len(run_blocks(blocks, tmp_path, environment)) >= 4
    # Twelve slices, their segmentation, and both again without the patient.
    assert len(orthanc.files()) == 2 * (len(files) + 1)
