#!/bin/sh
# highdicom 0.28.2: SpacingBetweenSlices that a caller states is replaced by the distance of the slices given.
#
# A segmentation of slices 1 and 4 of a series with 2.5 mm between slices is written with pixel measures that say
# SpacingBetweenSlices = 2.5. The file says 7.5: highdicom computes the value from the planes that it is given and
# overrides the stated one. A reader that stacks frames by SpacingBetweenSlices then sees two neighbouring slices of
# 7.5 mm where the image has six of 2.5 mm. Also: DimensionOrganizationType is "3D".
#
# Seen with highdicom 0.28.2, pydicom 3.0.2 (Python 3.11):
#   stated 2.5, written 7.5, organization 3D
#
# Exits nonzero where this has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q highdicom==0.28.2 pydicom==3.0.2 2>&1 | grep -v WARNING || true
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

study, series, frame = generate_uid(), generate_uid(), generate_uid()
images = []
for z in (1, 4):
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    d.SOPClassUID, d.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", generate_uid()
    d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID = study, series, frame
    for k in "PatientID PatientName PatientBirthDate PatientSex AccessionNumber StudyID StudyDate StudyTime".split():
        setattr(d, k, "")
    d.Modality, d.Rows, d.Columns, d.InstanceNumber = "CT", 8, 8, z + 1
    d.PixelSpacing, d.SliceThickness = [1, 1], 2.5
    d.ImageOrientationPatient, d.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 2.5 * z]
    images.append(d)
about = hd.seg.SegmentDescription(1, "a", codes.SCT.Tissue, codes.SCT.Tissue, "MANUAL")
seg = hd.seg.Segmentation(
    images, np.ones((2, 8, 8), np.uint8), "BINARY", [about], hd.UID(), 1, hd.UID(), 1, "x", "y", "1", "0",
    pixel_measures=hd.PixelMeasuresSequence((1, 1), 2.5, 2.5),
)
written = float(seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices)
print(f"stated 2.5, written {written:g}, organization {seg.DimensionOrganizationType}")
sys.exit(written != 7.5)
PYTHON
