#!/bin/sh
# Pillow 13.0.0 scrambles uncompressed TIFFs whose Orientation is 5 to 8, and reads the same picture right when it is compressed.
#
# TIFF 6.0: Orientation says which way rows and columns run; 5 to 8 exchange them. Pillow turns the picture when it loads it.
# It takes the turned size before it reads, and where samples are not compressed it cuts the bytes into rows of the turned
# width: a picture of 4 rows of 3 is read as 3 rows of 4 and then turned. No error, right size, wrong neighbours. A square
# picture is right, and so is a compressed one (LZW, Deflate). tifffile leaves the tag to its user.
#
# Seen with Pillow 13.0.0, tifffile 2026.3.3, numpy 2.4.6 (Python 3.11), 4 rows of 0 1 2 / 3 4 5 / 6 7 8 / 9 10 11:
#   orientation 6, deflate: 9 6 3 0 / 10 7 4 1 / 11 8 5 2
#   orientation 6, none: 8 4 0 / 9 5 1 / 10 6 2 / 11 7 3
#   scrambled without an error: orientations 5, 6, 7, 8 of uncompressed files
#
# Exits nonzero where this has changed. Bedside turns what tifffile reads (src/bedside/io/tiff_display.py).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "pillow==13.0.0" "tifffile==2026.3.3" "numpy==2.4.6"
cat > "$folder/see.py" <<'PYTHON'
import sys

import numpy as np
import tifffile
from PIL import Image

picture = np.arange(12, dtype=np.uint8).reshape(4, 3)
# By TIFF 6.0: what is row 0 and column 0 of the file.
right = {
    2: picture[:, ::-1], 3: picture[::-1, ::-1], 4: picture[::-1], 5: picture.T,
    6: picture.T[:, ::-1], 7: picture.T[::-1, ::-1], 8: picture.T[::-1],
}
wrong = {"deflate": [], "none": []}
for name, code in (("deflate", "zlib"), ("none", None)):
    for orientation, expected in right.items():
        path = f"{sys.argv[1]}/turned.tif"
        tifffile.imwrite(path, picture, compression=code, extratags=[(274, "H", 1, orientation, True)])
        with Image.open(path) as opened:
            opened.load()
            rows = [[opened.getpixel((x, y)) for x in range(opened.width)] for y in range(opened.height)]
        if orientation == 6:
            print(f"orientation 6, {name}:", " / ".join(" ".join(map(str, row)) for row in rows))
        if rows != expected.tolist():
            wrong[name].append(orientation)
print("scrambled without an error: orientations", ", ".join(map(str, wrong["none"])), "of uncompressed files")
sys.exit(wrong != {"deflate": [], "none": [5, 6, 7, 8]})
PYTHON
"$folder/venv/bin/python" "$folder/see.py" "$folder"
