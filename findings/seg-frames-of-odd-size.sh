#!/bin/sh
# BINARY segmentations whose frames are no whole number of bytes: SimpleITK shifts voxels; highdicom writes tiny ones wrong.
#
# PS3.5 8.1.1 packs the bits of all frames one after the other: a frame may begin in the middle of a byte.
# - SimpleITK 2.5.7 (GDCM) begins each frame at a byte: every frame but the first is shifted, without an error or a warning.
#   Frames of 512 x 512 are not affected, those of 7 x 9 (or of any odd side) are.
# - highdicom 0.28.2 packs correctly from 8 samples a frame on; smaller frames (3 x 1) get a byte each, which is against
#   the standard (highdicom's own array is right, as it is not read from the bytes).
#
# Seen with highdicom 0.28.2, SimpleITK 2.5.7, pydicom 3.0.2 (Python 3.11):
#   6 x 8: ITK equal True
#   7 x 9: ITK equal False
#   1 x 3: bytes 0203 instead of 1a00
#
# Exits nonzero where this has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q highdicom==0.28.2 pydicom==3.0.2 SimpleITK==2.5.7 2>&1 | grep -v WARNING || true
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
import highdicom as hd
import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid


def write(path, masks):
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    images = []
    for z in range(len(masks)):
        d = Dataset()
        d.file_meta = FileMetaDataset()
        d.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        d.SOPClassUID, d.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", generate_uid()
        d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID = study, series, frame
        for k in "PatientID PatientName PatientBirthDate PatientSex AccessionNumber StudyID StudyDate StudyTime".split():
            setattr(d, k, "")
        d.Modality, d.InstanceNumber = "CT", z + 1
        d.Rows, d.Columns = masks.shape[1:]
        d.PixelSpacing, d.SliceThickness = [1, 1], 1
        d.ImageOrientationPatient, d.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, float(z)]
        images.append(d)
    about = hd.seg.SegmentDescription(1, "a", codes.SCT.Tissue, codes.SCT.Tissue, "MANUAL")
    seg = hd.seg.Segmentation(
        images, masks, "BINARY", [about], hd.UID(), 1, hd.UID(), 1, "x", "y", "1", "0", omit_empty_frames=False
    )
    seg.save_as(path)
    order = [int(float(f.PlanePositionSequence[0].ImagePositionPatient[2])) for f in seg.PerFrameFunctionalGroupsSequence]
    return masks[order], bytes(seg.PixelData)


path = sys.argv[1] + "/seg.dcm"
equal = []
for shape in ((3, 6, 8), (3, 7, 9)):
    frames, _ = write(path, (np.random.default_rng(0).random(shape) < 0.5).astype(np.uint8))
    equal.append(np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(path)) != 0, frames))
    print(f"{shape[1]} x {shape[2]}: ITK equal {equal[-1]}")
frames, data = write(path, np.array([[[1, 1, 0]], [[0, 1, 0]]], np.uint8))
right = np.packbits(frames.ravel(), bitorder="little").tobytes() + b"\0"
print(f"1 x 3: bytes {data.hex()} instead of {right.hex()}")
sys.exit(not (equal == [True, False] and data != right))
PYTHON
