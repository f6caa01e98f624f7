#!/bin/sh
# pydicom and SimpleITK take samples from the lower bits, whatever High Bit says: left-aligned samples come wrong, without a word.
#
# High Bit (0028,0102) is a required element that says where in a word the samples stand. With 16 bits allocated, 12 stored
# and High Bit 15 (old scanners and digitisers write so; the standard asks for 11 today) the sample 643 is stored as
# 643 * 16. Both readers clear the upper four bits, which are the sample's own, and give (643 * 16) modulo 4096: a picture
# with false contours, and CT numbers that are off by hundreds. Neither warns.
#
# Seen with pydicom 3.0.2, SimpleITK 2.5.7, numpy 2.4.6 (Python 3.11):
#   samples 100 643 4000, High Bit 15: pydicom 1600 2096 2560, SimpleITK 1600 2096 2560
#
# Exits nonzero where this has changed. Bedside moves such samples down where no bit below them is set
# (src/bedside/io/dicom/pixels.py).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "pydicom==3.0.2" "SimpleITK==2.5.7" "numpy==2.4.6"
cat > "$folder/see.py" <<'PYTHON'
import sys

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

samples = np.array([[100, 643, 4000]], np.uint16)
path = f"{sys.argv[1]}/left.dcm"
dataset = Dataset()
dataset.file_meta = FileMetaDataset()
dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = SecondaryCaptureImageStorage
dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
dataset.Modality, dataset.SeriesInstanceUID, dataset.StudyInstanceUID = "OT", generate_uid(), generate_uid()
dataset.Rows, dataset.Columns = samples.shape
dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 15
dataset.PixelData = (samples << 4).tobytes()
dataset["PixelData"].VR = "OW"
dataset.save_as(path, enforce_file_format=True)
read = {
    "pydicom": pydicom.dcmread(path).pixel_array,
    "SimpleITK": sitk.GetArrayFromImage(sitk.ReadImage(path)),
}
found = {name: array.ravel().tolist() for name, array in read.items()}
told = ", ".join(f"{name} {' '.join(map(str, values))}" for name, values in found.items())
print(f"samples 100 643 4000, High Bit 15: {told}")
masked = ((samples << 4) % 4096).ravel().tolist()
sys.exit(not all(values == masked for values in found.values()))
PYTHON
"$folder/venv/bin/python" "$folder/see.py" "$folder"
