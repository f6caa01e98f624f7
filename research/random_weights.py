"""A system of the SAM family with random weights, which take as long as trained ones: its work, and its files.

Needs torch, onnx and, for int8, nncf. ``python -m research.random_weights NAME FOLDER`` writes the files and
prints the work as JSON; ``--int8`` makes the int8 encoder beside files that are there.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from bedside.core.errors import BedsideError
from bedside.engines.sam.blocks.clip import Clip
from bedside.engines.sam.convert.export import export_parts
from bedside.engines.sam.convert.parts import served_network, split
from bedside.engines.sam.networks.mcp_medsam import McpMedSAM
from bedside.runtime.quantise import publish_int8, quantise_graph
from bedside.weights.card import WeightsCard
from bedside.weights.models import model_card
from bedside.weights.store import PARTS, WeightsFiles

CALIBRATION = 2
"""Pictures of noise by which the encoder is calibrated: its speed does not depend on them."""


def count_work(name: str) -> dict[str, float]:
    """Multiplications with their additions, in thousand millions, of each part for one image and one box.

    Raises:
        InputError: No model of the family has that name.
    """
    found = {}
    for part_name, part in split(served_network(name, meta=True)).items():
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad(), torch.device("meta"):
            part.requires_grad_(False).to("meta")(*(example.to("meta") for example in part.examples(1)))
        found[f"{part_name}_gmac"] = counter.get_total_flops() / 2e9
    return found


def write_random(name: str, folder: Path) -> None:
    """Write the files of a system with random weights into ``folder``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = served_network(name)
        clip = Clip().eval() if isinstance(network, McpMedSAM) else None
    licence = model_card(name).licence
    export_parts(network, folder, WeightsCard(name, "0", "", licence, "random numbers"), clip=clip)


def quantise_random(name: str, folder: Path) -> None:
    """Make the int8 image encoder of the files in ``folder``, calibrated by noise.

    Raises:
        DependencyError: nncf is not installed.
    """
    side = model_card(name).grid
    generator = np.random.default_rng(0)
    samples = [{"image": generator.random((1, 3, side, side), dtype=np.float32)} for _ in range(CALIBRATION)]
    files = WeightsFiles.in_folder(name, folder, PARTS[0])
    with tempfile.TemporaryDirectory(dir=folder) as made:
        publish_int8(quantise_graph(files, samples, Path(made), attention=True), files, {"samples": len(samples)})


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module; 2 and one line on stderr for what cannot be made."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--int8", action="store_true")
    options = parser.parse_args(arguments)
    try:
        if options.int8:
            quantise_random(options.name, options.folder)
        else:
            work = count_work(options.name)
            write_random(options.name, options.folder)
            print(json.dumps(work))
    except BedsideError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
