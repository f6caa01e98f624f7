"""Size, work, time and memory of every system of the SAM family, in one run on this machine.

Weights are random: they take as long as trained ones. Every measurement is made in a process of its own, with a cache
of compiled models that an earlier process has filled, as on a laptop on which the program has run before.

    python benchmarks/systems.py                             all systems
    python benchmarks/systems.py rep-medsam --repeat 3       some of them
    python benchmarks/systems.py --settings openvino:fp32    with one runtime
    python benchmarks/systems.py --json systems.json         figures for other tables
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

INT8 = "openvino:int8"
SETTINGS = ("openvino:fp32", "openvino:bf16", INT8, "torch:fp32")
SIDE, SLICES = 512, 16
HEADINGS = ("system", "parameters", "encoder GMAC", "decoder GMAC", "runtime", "encoder ms", "decoder ms",
            "cold 2D s", "cold 3D s", "peak MB")  # fmt: skip
CASES = ("2DBox_CT_0001", "3DBox_CT_0001")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="*", help="names in the registry; all of the family by default")
    parser.add_argument("--settings", nargs="*", default=list(SETTINGS), help="runtime:precision")
    parser.add_argument("--repeat", type=int, default=5, help="measurements of which the median counts")
    parser.add_argument("--no-volume", action="store_true", help="leave out the cold start with a volume")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", nargs=3, metavar=("MODEL", "SETTING", "REPEAT"), help=argparse.SUPPRESS)
    parser.add_argument("--case", nargs=3, metavar=("MODEL", "SETTING", "CASE"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        print(json.dumps(measure_warm(options.child[0], options.child[1], int(options.child[2]))))
        return
    if options.case:
        answer_case(options.case[0], options.case[1], Path(options.case[2]))
        return
    rows = []
    for name in options.systems or family():
        rows += measure_system(name, options.settings, options.repeat, not options.no_volume)
    print_table(rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def family() -> list[str]:
    """All systems of the family, the smallest first."""
    from bedside.models.registry import model_cards

    cards = [card for card in model_cards() if card.family == "sam"]
    return [card.name for card in sorted(cards, key=lambda card: card.parameters)]


def measure_system(name: str, settings: Sequence[str], repeat: int, volume: bool) -> list[dict[str, Any]]:
    """One row for each runtime."""
    from bedside.models.registry import model_card

    work = count_work(name)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "BEDSIDE_WEIGHTS": folder, "XDG_CACHE_HOME": f"{folder}/cache"}
        export(name, Path(folder))
        write_cases(Path(folder))
        if INT8 in settings:
            quantise(name, Path(folder))
        for setting in settings:
            # The first run fills the cache of compiled models.
            run(environment, "--case", name, setting, str(Path(folder) / f"{CASES[0]}.npz"))
            figures = json.loads(run(environment, "--child", name, setting, str(repeat)))
            cold = {}
            for kind, case in zip(("2d", "3d"), CASES if volume else CASES[:1], strict=False):
                cold[kind] = cold_seconds(environment, name, setting, Path(folder) / f"{case}.npz", repeat)
            rows.append({"system": name, "parameters": model_card(name).parameters, **work, "setting": setting,
                         **figures, "cold": cold})  # fmt: skip
            print(f"{name} {setting}: done", file=sys.stderr)
    return rows


def count_work(name: str) -> dict[str, float]:
    """Multiplications with addition, in thousand millions, of the encoder and of the decoder for one box."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from bedside.runtime.sam.parts import served_network, split

    found = {}
    for part_name, part in split(served_network(name, meta=True)).items():
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad(), torch.device("meta"):
            part.requires_grad_(False).to("meta")(*(example.to("meta") for example in part.examples(1)))
        found[f"{part_name}_gmac"] = counter.get_total_flops() / 2e9
    return found


def export(name: str, folder: Path) -> None:
    """Random weights of a system, as files."""
    import torch

    from bedside.models.blocks.clip import Clip
    from bedside.runtime.sam.parts import served_network
    from bedside.runtime.sam_export import export_parts
    from bedside.weights.card import WeightsCard

    torch.manual_seed(0)
    tower = Clip().eval() if name == "mcp-medsam" else None
    network = served_network(name)
    export_parts(network, folder, WeightsCard(name, "0", "", "none", "random numbers"), clip=tower)


def quantise(name: str, folder: Path) -> None:
    """An int8 image encoder, calibrated by noise: it is as fast as a useful one."""
    from bedside.models.registry import model_card
    from bedside.runtime.quantise import publish_int8, quantise_graph
    from bedside.weights.store import WeightsFiles

    side = model_card(name).grid
    generator = np.random.default_rng(0)
    samples = [{"image": generator.random((1, 3, side, side), dtype=np.float32)} for _ in range(4)]
    files = WeightsFiles.in_folder(name, folder, "encoder")
    with tempfile.TemporaryDirectory(dir=folder) as made:
        publish_int8(quantise_graph(files, samples, Path(made), attention=True), files, {"samples": len(samples)})


def write_cases(folder: Path) -> None:
    """An image and a volume with one box each."""
    generator = np.random.default_rng(0)
    image = generator.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    volume = generator.integers(0, 255, (SLICES, SIDE, SIDE), dtype=np.uint8)
    np.savez(folder / f"{CASES[0]}.npz", imgs=image, boxes=np.array([[100, 100, 300, 300]]))
    box = np.array([[100, 100, 0, 300, 300, SLICES - 1]])
    np.savez(folder / f"{CASES[1]}.npz", imgs=volume, boxes=box, spacing=np.array([1.0, 1.0, 3.0]))


def cold_seconds(environment: dict[str, str], name: str, setting: str, case: Path, repeat: int) -> float:
    """Seconds of a whole process that answers a case, from its start to its end."""
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        run(environment, "--case", name, setting, str(case))
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def run(environment: dict[str, str], *arguments: str) -> str:
    """This file in a process of its own; what it prints."""
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}: {(done.stderr.strip().splitlines() or ['no answer'])[-1]}")
    return done.stdout


def answer_case(name: str, setting: str, case: Path) -> None:
    """Answer one case and write the answer, as the challenge has it."""
    from bedside.evaluate.challenge.answers import answer_boxes
    from bedside.evaluate.challenge.folder import run_folder
    from bedside.segment import load_segmenter

    runtime, precision = setting.split(":")
    segmenter = load_segmenter(name, runtime=runtime, precision=precision)
    (outcome,) = run_folder([case], case.parent / "out", segmenter, answer_boxes)
    if outcome.problem:
        raise SystemExit(outcome.problem)


def measure_warm(name: str, setting: str, repeat: int) -> dict[str, float]:
    """Milliseconds of encoder and decoder on an image that is new every time, and the most memory of the process."""
    from bedside.core.image import Image
    from bedside.core.prompts import Box
    from bedside.segment import load_segmenter

    runtime, precision = setting.split(":")
    segmenter = load_segmenter(name, runtime=runtime, precision=precision)
    array = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    box = Box((100, 100), (300, 300))
    first, again = [], []
    for _ in range(repeat + 1):
        segmenter.set_image(Image.from_array(array, modality="CT"))
        first.append(segmenter.predict([box]).seconds["network"])
        again.append(segmenter.predict([box]).seconds["network"])
    # Of the first image some is done for the first time.
    both, decoder = statistics.median(first[1:]), statistics.median(again[1:])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"encoder_ms": 1000 * (both - decoder), "decoder_ms": 1000 * decoder, "peak_mb": peak}


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """The figures as a table in Markdown."""
    print(f"| {' | '.join(HEADINGS)} |")
    print(f"|{'---|' * len(HEADINGS)}")
    for row in rows:
        cold = [f"{row['cold'][kind]:.2f}" if kind in row["cold"] else "" for kind in ("2d", "3d")]
        cells = (
            row["system"], f"{row['parameters']:,}", f"{row['encoder_gmac']:.2f}", f"{row['decoder_gmac']:.2f}",
            row["setting"].replace(":", " "), f"{row['encoder_ms']:.0f}", f"{row['decoder_ms']:.0f}", *cold,
            f"{row['peak_mb']:.0f}",
        )  # fmt: skip
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
