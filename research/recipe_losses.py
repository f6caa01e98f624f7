"""Recipes of the laptop challenge, each a few hundred steps a stage on small inputs: does every loss fall?

Every stage of every recipe takes the same number of steps on ``DATA/train``, from initial weights; DAFT's experts, and
its stages that repeat others from scratch, take a sixth. Teachers have random weights, which a student can still
learn to imitate. What is told of each stage is its mean loss in fifths of its steps.

    python -m research.recipe_losses --data DATA --out FOLDER --steps 300 --write docs/systems.md

The same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bedside.core.files import write_text_atomically
from bedside.core.markdown import markdown_table, replace_section
from bedside.engines.sam.training.recipe import RANDOM, SamRecipe
from bedside.train.log import LOSSES, read_losses
from bedside.train.packing import open_store
from bedside.train.recipes import load_recipe
from bedside.train.run import run_training

RECIPES = (
    "lite-medsam",
    "medficientsam",
    "daft",
    "rep-medsam",
    "swin-lite-medsam",
    "mcp-medsam",
    "medsam",
)
SECTION = "losses"
PARTS = 5
"""Into which the steps of a stage are divided."""
REPEATED = ("distil-from-scratch", "x-ray", "general-from-scratch")
"""Stages that do again, from scratch, what others of their recipe do."""
FEWER = 6
"""Those and stages of one group of modalities take this part of the steps."""
LOGGED = 10
"""Steps of which a line of the log tells the mean loss."""
SMALL_TEACHER = 64
"""Side of the input of teachers."""
FOLLOWED = 8
"""Held-out samples by which a run is followed; nothing is chosen by them."""


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="root of the data sets, or a packed store")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and the table")
    parser.add_argument("--recipe", nargs="+", default=list(RECIPES), choices=RECIPES, help="by default all")
    parser.add_argument("--steps", type=int, default=300, help="of every stage")
    parser.add_argument("--batch", type=int, default=2, help="samples a step")
    parser.add_argument("--side", type=int, default=128, help="side of training inputs")
    parser.add_argument("--rate", type=float, default=2e-4, help="learning rate of every stage")
    parser.add_argument("--threads", type=int, help="threads of torch")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into a page, between its markers")
    options = parser.parse_args()
    if options.steps < 1 or options.steps % (PARTS * LOGGED * FEWER):
        parser.error(f"--steps: expected a multiple of {PARTS * LOGGED * FEWER}")
    return options


def main() -> None:
    """Train, and write ``losses.md`` and ``losses.json``."""
    options = parse()
    store = options.out / "store"
    open_store(options.data, store, print)
    for name in options.recipe:
        print(f"== {name}", flush=True)
        train(name, store if store.is_dir() else options.data, options)
    rows = [row for name in RECIPES for row in stage_rows(name, options.out / name)]
    text = page(rows, options)
    write_text_atomically(options.out / "losses.md", text)
    write_text_atomically(options.out / "losses.json", json.dumps(rows, indent=1) + "\n")
    if options.write:
        replace_section(options.write, SECTION, text)
    print(text)


def train(name: str, store: Path, options: argparse.Namespace) -> None:
    """Train by a recipe, every stage of it for the same number of steps."""
    recipe = load_recipe(name)
    assert isinstance(recipe, SamRecipe)
    changes: dict[str, Any] = {
        "steps": options.steps,
        "batch": options.batch,
        "accumulate": 1,
        "workers": 0,
        "learning_rate": options.rate,
        "sampling.side": options.side,
        "log_every": LOGGED,
        "validate_every": 5 * LOGGED,
        "validation_samples": FOLLOWED,
    }
    for stage, settings in recipe.stages.items():
        if settings.modalities or stage in REPEATED:
            changes[f"{stage}.steps"] = options.steps // FEWER
        if settings.kind == "distil":
            # Of few slices, the teacher's embeddings of which are then soon computed.
            changes |= {"teacher.weights": RANDOM, "teacher.side": SMALL_TEACHER}
            changes[f"{stage}.slices"] = options.batch * options.steps
    out = options.out / name
    run_training(recipe, store, out, overrides=changes, device="cpu", threads=options.threads, report=tell)


def tell(line: str) -> None:
    """Print a line of a training's log at once: the log is read while it goes on."""
    print(line, flush=True)


def stage_rows(name: str, out: Path) -> list[dict[str, Any]]:
    """What is to be told of the stages of a recipe that have ended, in their order."""
    manifest = out / "manifest.json"
    if not manifest.is_file():
        return []
    rows = []
    for stage, ended in json.loads(manifest.read_text(encoding="utf-8"))["stages"].items():
        losses = np.array(list(read_losses(out / stage / LOSSES).values()))
        means = [float(part.mean()) for part in np.array_split(losses, PARTS)]
        rows.append({"recipe": name, "stage": stage, "samples": ended["samples"], "losses": means})
    return rows


def page(rows: Sequence[Mapping[str, Any]], options: argparse.Namespace) -> str:
    """In Markdown."""
    cells = [
        [f"`{row['recipe']}`", row["stage"], str(row["samples"]), *(f"{loss:.3f}" for loss in row["losses"])]
        for row in rows
    ]
    heading = ("recipe", "stage", "samples", "loss, first fifth", *["next"] * (PARTS - 2), "last fifth")
    lines = [
        f"{options.steps} steps a stage ({options.steps // FEWER} of DAFT's experts and repeated stages), batches of "
        f"{options.batch}, inputs of {options.side} x {options.side} pixels, a learning rate of {options.rate:g}.",
        "",
        markdown_table(heading, cells),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
