#!/bin/sh
# SimpleITK takes NRRD's spaces of four axes for LPS: "right-anterior-superior-time" (RAST) is misplaced without a word.
#
# NRRD names twelve spaces, six of them with time as a fourth axis. ITK turns "right-anterior-superior" and
# "left-anterior-superior" into its own LPS, and leaves "right-anterior-superior-time" and "left-anterior-superior-time",
# the same spaces with time, as they are: x and y of a series in RAST come with the wrong sign, while each volume of it,
# written alone in RAS, lies right. A mask that is drawn on one volume lies mirrored on the series.
#
# Seen with SimpleITK 2.5.7, numpy 2.4.6 (Python 3.11):
#   right-anterior-superior: origin -10 -20 30, right-anterior-superior-time: origin 10 20 30
#   left-anterior-superior: origin 10 -20 30, left-anterior-superior-time: origin 10 20 30
#
# Exits nonzero where this has changed. Bedside brings such a header to three axes first (src/bedside/io/nrrd_time.py).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "SimpleITK==2.5.7" "numpy==2.4.6"
cat > "$folder/see.py" <<'PYTHON'
import sys

import numpy as np
import SimpleITK as sitk


def origin(space, axes):
    sizes = (4, 3, 2, 5)[:axes]
    steps = np.eye(axes, dtype=int)
    directions = " ".join(f"({','.join(map(str, row))})" for row in steps)
    place = f"({','.join(map(str, (10, 20, 30, 0)[:axes]))})"
    lines = ["NRRD0005", "type: uchar", "encoding: raw", f"dimension: {axes}", f"sizes: {' '.join(map(str, sizes))}"]
    lines += [f"space: {space}", f"space directions: {directions}", f"space origin: {place}", "", ""]
    path = f"{sys.argv[1]}/{space}.nrrd"
    with open(path, "wb") as file:
        file.write("\n".join(lines).encode() + bytes(int(np.prod(sizes))))
    return [int(v) for v in sitk.ReadImage(path).GetOrigin()[:3]]


seen = []
for space, turned in (("right-anterior-superior", [-10, -20, 30]), ("left-anterior-superior", [10, -20, 30])):
    alone, series = origin(space, 3), origin(f"{space}-time", 4)
    told = (" ".join(map(str, found)) for found in (alone, series))
    print("{0}: origin {1}, {0}-time: origin {2}".format(space, *told))
    seen.append(alone == turned and series == [10, 20, 30])
sys.exit(not all(seen))
PYTHON
"$folder/venv/bin/python" "$folder/see.py" "$folder"
