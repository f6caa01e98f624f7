"""Recorded sessions, and the checksum of every mask that they give, by which two versions are held against each other.

Sessions on made images: 2D in grey and in colour, a volume, the model for images slice by slice on a volume, and
a small nnInteractive with fixed random weights. Every kind of prompt is given, positive and negative, with undo
and the removal of a prompt in between. Everything is computed in fp32.

    PYTHONPATH=OLDER/src python benchmarks/sessions.py --json older.json
    python benchmarks/sessions.py --before older.json   # fails where a mask differs

The random weights of nnInteractive's small network are made with torch.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.prompts import Box, InitialMask, Lasso, Point, Prompt, Scribble
from bedside.session import Session

Checksums = list[str]


def picture(colour: bool) -> Image:
    """Two discs and a bar in noise (y, x[, 3])."""
    y, x = np.mgrid[:180, :220]
    array = np.random.default_rng(1).normal(70, 12, y.shape)
    array += 90 * (((y - 60) ** 2 + (x - 70) ** 2) < 30**2) + 60 * (((y - 120) ** 2 + (x - 150) ** 2) < 22**2)
    array += 40 * ((abs(y - 150) < 8) & (x < 120))
    grey = array.clip(0, 255).astype(np.uint8)
    if colour:
        grey = np.stack([grey, np.roll(grey, 3, axis=0), 255 - grey], axis=-1)
    return Image(grey, Geometry.create(y.shape, (0.7, 0.9)))


def volume(shape: tuple[int, int, int] = (28, 96, 104), thickness: float = 2.5) -> Image:
    """A ball and a bar in noise (z, y, x), in slices thicker than wide."""
    z, y, x = np.mgrid[: shape[0], : shape[1], : shape[2]]
    middle = shape[0] // 2
    array = np.random.default_rng(2).normal(0, 25, shape)
    array += 180 * ((((z - middle) * thickness) ** 2 + (y - 45) ** 2 + (x - 50) ** 2) < 22**2)
    array += 120 * ((abs(y - 80) < 5) & (abs(z - middle) < 4))
    return Image(array.astype(np.int16), Geometry.create(shape, (1.0, 1.0, thickness), (-5.0, 8.0, 20.0)))


def plane_prompts() -> list[Prompt]:
    """Prompts on ``picture``, in the order given."""
    return [
        Point((70, 60)),
        Point((95, 62), positive=False),
        Scribble(((60, 50), (75, 58), (80, 70))),
        Box((36, 28), (104, 94)),
        Lasso(((40, 30), (102, 34), (100, 92), (42, 88))),
        Scribble(((30, 100), (60, 104)), positive=False),
        Box((120, 10), (160, 40), positive=False),
        Lasso(((5, 5), (25, 5), (25, 25)), positive=False),
    ]


def solid_prompts(z: float) -> list[Prompt]:
    """Prompts on ``volume``, most of them on the slice ``z``."""
    return [
        Point((50, 45, z)),
        Point((75, 45, z), positive=False),
        Scribble(((40, 40, z), (55, 50, z), (60, 45, z + 2))),
        Box((26, 22, z - 6), (74, 68, z + 7)),
        Lasso(((28, 24, z), (72, 24, z), (70, 66, z), (30, 64, z))),
        Scribble(((20, 80, z), (70, 82, z)), positive=False),
        Box((80, 5, z - 3), (100, 20, z + 3), positive=False),
        Lasso(((2, 2, z), (12, 2, z), (12, 12, z)), positive=False),
    ]


def aging_prompts(z: float) -> list[Prompt]:
    """Those of ``solid_prompts`` that nnInteractive takes, with a box on one slice."""
    point, negative, stroke, _, lasso, *_ = solid_prompts(z)
    return [point, negative, stroke, Box((26, 22, z), (74, 68, z + 1)), lasso]


def play(image: Image, prompts: list[Prompt], segmenter: Any) -> Checksums:
    """Each prompt as an object's first, where it may be, and all of them after one another with undo and removal."""
    sums: Checksums = []
    for prompt in prompts:
        if prompt.positive:
            alone = Session(image, segmenter=segmenter)
            alone.add(prompt)
            sums.append(checksum(alone.mask))
    session = Session(image, segmenter=segmenter)
    for prompt in prompts:
        session.add(prompt)
        sums.append(checksum(session.mask))
    session.undo()
    sums.append(checksum(session.mask))
    current = session.current
    assert current is not None
    session.remove_prompt(current.prompts[1].id)
    sums.append(checksum(session.mask))
    session.add(prompts[0], predict=False)
    session.add(prompts[1])
    sums.append(checksum(session.mask))
    session.add_object()
    given = np.zeros(image.shape, bool)
    given[tuple(slice(n // 4, n // 2) for n in image.shape)] = True
    session.add(InitialMask(given))
    session.add(Point(tuple(float(n // 4 + 1) for n in image.shape[::-1]), positive=False))
    sums.append(checksum(session.mask))
    sums.append(checksum(session.label_map()))
    suggested = session.suggest_click() if session.capabilities.suggests else None
    sums.append(repr(suggested.to_dict()) if suggested else "none")
    replayed = Session.from_journal(session.journal, image, segmenter=segmenter)
    assert all(np.array_equal(m, session.masks[n]) for n, m in replayed.masks.items())
    return sums


def checksum(mask: Any) -> str:
    """Of a mask's bytes, with the number of its voxels to tell an empty one."""
    return f"{hashlib.sha256(np.ascontiguousarray(mask).tobytes()).hexdigest()[:20]} {np.count_nonzero(mask)}"


def found(name: str, *modules: str) -> Any:
    """``name`` in the first of ``modules`` that there is: rooms had other names once."""
    for module in modules:
        with contextlib.suppress(ModuleNotFoundError):
            return getattr(importlib.import_module(module), name)
    raise SystemExit(f"none of {', '.join(modules)} is there")


def load(name: str) -> Any:
    """The segmenter of a model."""
    return found("load_segmenter", "bedside.engines", "bedside.engines")(name, precision="fp32")


def random_nninteractive(folder: Path) -> Any:
    """The segmenter of a small nnInteractive on windows of 64 voxels' side, its weights random but always the same."""
    import torch

    from bedside.runtime.export import export_weights
    from bedside.weights.card import WeightsCard

    build = found("NNInteractive", "bedside.engines.nninteractive.network", "bedside.engines.nninteractive.network")
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = build((4, 8, 8, 12, 12, 16), (1, 2, 1, 1, 1, 2))
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.05)
        card = WeightsCard("nninteractive", "0", "", "Apache-2.0", "random numbers", training={"patch": 64})
        export_weights(network.eval(), folder, card, grid=64)
    os.environ["BEDSIDE_WEIGHTS"] = str(folder)
    return load("nninteractive")


def sessions(folder: Path) -> dict[str, Checksums]:
    """Checksums of every session by its name; ``folder`` is for weights that are made."""
    recorded: dict[str, Callable[[], Checksums]] = {
        "2d grey": lambda: play(picture(False), plane_prompts(), load("bedside-2d")),
        "2d colour": lambda: play(picture(True), plane_prompts()[:4], load("bedside-2d")),
        "slice by slice": lambda: play(volume(), solid_prompts(14), load("bedside-2d")),
        "3d": lambda: play(volume(), solid_prompts(14), load("bedside-3d")),
        "nninteractive": lambda: play(volume(), aging_prompts(14), random_nninteractive(folder)),
    }
    return {name: record() for name, record in recorded.items()}


def main() -> None:
    """Play, write and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the checksums")
    parser.add_argument("--before", type=Path, help="checksums of another version to compare with")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        played = sessions(Path(folder))
    if options.json:
        options.json.write_text(json.dumps(played, indent=1) + "\n")
    for name, sums in played.items():
        print(f"{name}: {len(sums)} checksums, {len(set(sums))} different")
    if options.before:
        before = json.loads(options.before.read_text())
        wrong = [f"{name} {n}" for name in played for n, s in enumerate(played[name]) if before[name][n] != s]
        print("identical" if not wrong else f"different: {', '.join(wrong)}")
        raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
