#!/bin/sh
# OpenCV's INTER_AREA rounds the same half in three ways, by the factor and by the type.
#
# Versions: opencv-python-headless 5.0.0.93, numpy 2.4.6, Python 3.11, x86-64.
# Behaviour: bytes of which exactly half are 1 and half are 2 have the mean 1.5, and bytes of 0 and 1 the mean 0.5.
# Halving an image, cv2.resize(..., INTER_AREA) rounds these up, to 2 and 1; quartering it, to even, to 2 and 0. Enlarged by
# 1.28, a cell that is covered by 1 to more than half can come out 0 in bytes, and comes out 1 in 16 bits.
# Why it matters: systems of the CVPR 2024 laptop challenge shrink the mask of one slice to get the box of the next, and one
# such rounding moves that box by a cell.
# Output seen:
#   halved: [2] [1]
#   quartered: [2] [0]
#   enlarged 1.28 times: 16 bits set cells that bytes leave empty: True, the other way round: False
# Exits with 1 where any of that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet opencv-python-headless==5.0.0.93 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import cv2
import numpy as np


def means(factor: int, base: int) -> list[int]:
    """What cells become that hold as many of base as of base + 1."""
    block = np.full((factor, factor), base, np.uint8)
    block[: factor // 2] += 1
    return np.unique(cv2.resize(np.tile(block, (64, 64)), (64, 64), interpolation=cv2.INTER_AREA)).tolist()


halved, quartered = (means(2, 1), means(2, 0)), (means(4, 1), means(4, 0))
y, x = np.mgrid[:200, :200]
mask = ((y - 97) ** 2 + (x - 103) ** 2 < 71**2).astype(np.uint8)
narrow, wide = (cv2.resize(mask.astype(t), (256, 256), interpolation=cv2.INTER_AREA) > 0 for t in (np.uint8, np.uint16))
lost, gained = bool((wide & ~narrow).any()), bool((narrow & ~wide).any())
print("halved:", *halved)
print("quartered:", *quartered)
print(f"enlarged 1.28 times: 16 bits set cells that bytes leave empty: {lost}, the other way round: {gained}")
sys.exit(0 if (halved, quartered, lost, gained) == (([2], [1]), ([2], [0]), True, False) else 1)
PYTHON
