#!/bin/sh
# tifffile 2026.3.3, TiffPageSeries.aszarr(level=N, multiscales=False) on a pyramid: the store has the finest level's data.
#
# Expected of "level": the samples of that level. Seen: the store of level=2 has the shape of level 0 or its samples;
# series.levels[2].aszarr(multiscales=False) gives the right ones. A viewer that asks for a coarse level reads the finest.
# Output seen: "level=2 of the series: the finest level's samples: True; levels[2].aszarr(): its own samples: True"
# Ends with 1 if that changes.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "tifffile==2026.3.3" "zarr==3.1.6" "numpy==2.4.6"
"$folder/venv/bin/python" - "$folder/pyramid.tif" <<'PYTHON'
import sys

import numpy as np
import tifffile
import zarr

finest = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
options = {"tile": (16, 16), "compression": "zlib"}
with tifffile.TiffWriter(sys.argv[1]) as writer:
    writer.write(finest, subifds=2, **options)
    writer.write(finest[::2, ::2], subfiletype=1, **options)
    writer.write(finest[::4, ::4], subfiletype=1, **options)
with tifffile.TiffFile(sys.argv[1]) as file:
    series = file.series[0]
    coarse = finest[::4, ::4]
    asked = zarr.open(series.aszarr(level=2, multiscales=False), mode="r")
    own = zarr.open(series.levels[2].aszarr(multiscales=False), mode="r")
    wrong = not np.array_equal(np.asarray(asked[:16, :16]), coarse)
    finest_read = np.array_equal(np.asarray(asked[:16, :16]), finest[:16, :16])
    right = np.array_equal(np.asarray(own[:]), coarse)
    print(f"level=2 of the series: the finest level's samples: {finest_read}; levels[2].aszarr(): its own samples: {right}")
    sys.exit(0 if wrong and finest_read and right else 1)
PYTHON
