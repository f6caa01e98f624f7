"""What keeping an embedding costs and saves: encoding, keeping and finding one, and its bytes.

    python benchmarks/embeddings.py --model lite-medsam

takes the installed weights of a model of the SAM family; random ones, ``python -m research.random_weights lite-medsam
DIR`` with ``BEDSIDE_WEIGHTS=DIR``, take as long.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bedside.core.image import Image
from bedside.core.prompts import Box
from bedside.engines import load_segmenter
from bedside.engines.sam.embeddings import FOLDER_VARIABLE

PICTURES = 8
SIDE = 512


def timed(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return (time.process_time() - began) / PICTURES * 1e3


def masks(model: str, pictures: list[Image]) -> tuple[list[NDArray[np.uint8]], float]:
    """Return a mask of each picture, and what one took; the model is loaded before."""
    segmenter = load_segmenter(model)
    found: list[NDArray[np.uint8]] = []

    def answer() -> None:
        for picture in pictures:
            segmenter.set_image(picture)
            whole = np.zeros(picture.shape, np.uint8)
            segmenter.predict([Box((100, 120), (300, 360))]).paste(whole)
            found.append(whole)

    return found, timed(answer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="lite-medsam")
    model = parser.parse_args().model
    os.environ.setdefault("BEDSIDE_THREADS", "1")
    os.environ.pop(FOLDER_VARIABLE, None)
    generator = np.random.default_rng(0)
    pictures = [Image.from_array(generator.integers(0, 255, (SIDE, SIDE)).astype(np.uint8)) for _ in range(PICTURES)]
    without, plain = masks(model, pictures)
    with tempfile.TemporaryDirectory() as folder:
        os.environ[FOLDER_VARIABLE] = folder
        first, kept = masks(model, pictures)
        again, found = masks(model, pictures)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.safetensors")) / PICTURES
    same = all(np.array_equal(a, b) and np.array_equal(a, c) for a, b, c in zip(without, first, again, strict=True))
    print(f"{model}, pictures of {SIDE} x {SIDE}, ms of the processor (one thread) a mask")
    print(f"without {plain:.0f}, the first time {kept:.0f}, found {found:.0f}; {size / 1e6:.2f} MB an embedding")
    print("masks are the same" if same else "MASKS DIFFER")


if __name__ == "__main__":
    main()
