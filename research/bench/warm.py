"""Encoder and decoder of a system in a process that is warm: ``python -m research.bench.warm``.

Its arguments are a model of the SAM family, runtime, precision and how often to measure; it prints JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence

import numpy as np

from bedside.core.errors import BackendError, BedsideError
from bedside.core.image import Image
from bedside.core.prompts import Box
from bedside.engines import load_segmenter
from bedside.runtime.openvino import computes_in_bf16

SIDE = 512
"""Of the images that systems are measured on, and of the slices of the volume."""
BOX = (100, 100, 300, 300)
"""x0, y0, x1, y1 of the one box on them, the end inclusive."""


def measure_warm(name: str, runtime: str, precision: str, repeat: int) -> dict[str, float]:
    """Median milliseconds of the encoder on an image that is new, and of the decoder on one box.

    Args:
        name: Model of the family "sam".
        runtime: What runs it.
        precision: What it computes in.
        repeat: Images of which the median counts; one before them is left out, because it pays for what is done once.

    Raises:
        BackendError: The processor does not compute in that precision, or the runtime does not.
    """
    if (runtime, precision) == ("openvino", "bf16") and not computes_in_bf16():
        raise BackendError("precision bf16", expected="a processor that computes in it", got="one that does not")
    segmenter = load_segmenter(name, runtime=runtime, precision=precision)
    array = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    box = Box(BOX[:2], (BOX[2] + 1, BOX[3] + 1))
    first, again = [], []
    for _ in range(repeat + 1):
        segmenter.set_image(Image.from_array(array, modality="CT"))
        first.append(segmenter.predict([box]).seconds["network"])
        again.append(segmenter.predict([box]).seconds["network"])
    both, decoder = statistics.median(first[1:]), statistics.median(again[1:])
    return {"encoder_ms": 1000 * (both - decoder), "decoder_ms": 1000 * decoder}


def main(arguments: Sequence[str]) -> int:
    """See the module; 2 and one line on stderr for what cannot be measured."""
    name, runtime, precision, repeat = arguments
    try:
        print(json.dumps(measure_warm(name, runtime, precision, int(repeat))))
    except BedsideError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
