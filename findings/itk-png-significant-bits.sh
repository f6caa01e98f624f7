#!/bin/sh
# SimpleITK shifts the samples of a PNG by what the note sBIT says; Pillow and OpenCV give them as they are stored.
#
# The chunk sBIT of PNG tells how many bits of the original were significant; it is ancillary, and the samples are valid
# without it. SimpleITK 2.5.7 shifts them to the right: a label map of 8 bits whose note says 5 comes with its labels divided
# by 8 (labels below 8 are gone), a radiograph of 16 bits whose note says 12 is 16 times darker. Dropping the chunk, which
# any optimiser may do, changes the samples that are read. So image and mask of one pair can differ by program.
#
# Seen with SimpleITK 2.5.7, Pillow 13.0.0, opencv-python-headless 5.0.0.93, numpy 2.4.6 (Python 3.11):
#   8 bits, sBIT 5, stored 7 200: SimpleITK 0 25, Pillow 7 200, OpenCV 7 200
#   16 bits, sBIT 12, stored 7 48000: SimpleITK 0 3000, Pillow 7 48000, OpenCV 7 48000
#
# Exits nonzero where this has changed. Bedside takes the note away before ITK reads (src/bedside/io/formats/png.py).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "SimpleITK==2.5.7" "pillow==13.0.0" "opencv-python-headless==5.0.0.93" "numpy==2.4.6"
cat > "$folder/see.py" <<'PYTHON'
import struct
import sys
import zlib

import cv2
import numpy as np
import SimpleITK as sitk
from PIL import Image


def chunk(name, value):
    return struct.pack(">I", len(value)) + name + value + struct.pack(">I", zlib.crc32(name + value))


seen = []
for bits, significant, stored in ((8, 5, (7, 200)), (16, 12, (7, 48000))):
    row = np.array(stored, f">u{bits // 8}").tobytes()
    path = f"{sys.argv[1]}/noted.png"
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, bits, 0, 0, 0, 0)))
        file.write(chunk(b"sBIT", bytes([significant])) + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b""))
    read = {
        "SimpleITK": sitk.GetArrayFromImage(sitk.ReadImage(path)),
        "Pillow": np.asarray(Image.open(path)),
        "OpenCV": cv2.imread(path, cv2.IMREAD_UNCHANGED),
    }
    found = {name: array.ravel().tolist() for name, array in read.items()}
    told = ", ".join(f"{name} {' '.join(map(str, values))}" for name, values in found.items())
    print(f"{bits} bits, sBIT {significant}, stored {stored[0]} {stored[1]}: {told}")
    shifted = [value >> (bits - significant) for value in stored]
    seen.append(found == {"SimpleITK": shifted, "Pillow": list(stored), "OpenCV": list(stored)})
sys.exit(not all(seen))
PYTHON
"$folder/venv/bin/python" "$folder/see.py" "$folder"
