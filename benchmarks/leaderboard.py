"""Systems of the laptop challenge, each trained by its recipe on the same data, and answering the same cases.

Every network sees the same number of training samples. Cases are made from the validation data by the challenge's own
steps, answered box by box, and scored by DSC and NSD as the challenge does (``bedside evaluate --protocol box2024``).
What comes out says how the systems learn from little; the published weights are others.

    python benchmarks/leaderboard.py --data DATA --out FOLDER --samples 2000

A training that was stopped goes on with the same command, and one that is finished is not done again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bedside.core.files import write_text_atomically
from bedside.data.catalogue import DataSet, find_data_sets
from bedside.data.challenge.cases import Preparation, make_case
from bedside.data.challenge.labels import CLEANINGS
from bedside.evaluate.challenge.answers import answer_boxes
from bedside.evaluate.challenge.box2024 import Means, modality_means, score_folder
from bedside.evaluate.challenge.folder import SECONDS_FILE, find_cases, run_folder, write_outcomes
from bedside.io.challenge_writing import write_case
from bedside.preprocess.modality import modality_in
from bedside.segment import load_segmenter
from bedside.train.packing import is_store, open_store
from bedside.train.recipes import load_recipe
from bedside.train.run import run_training
from bedside.train.sam.plan import Plan, make_plan
from bedside.train.sam.recipe import RANDOM, SamRecipe
from bedside.weights.store import PARTS, WeightsFiles

RECIPES = ("lite-medsam", "medficientsam", "daft", "rep-medsam", "swin-lite-medsam", "mcp-medsam")
REFERENCE = "bedside-2d"
"""Bundled weights, trained on the same data for longer; they stand beside the table and not in it."""
CAVEAT = (
    "These are not the published weights: every network was trained here, from initial weights, on the open data of "
    "this repository, with {samples} samples, and says nothing about what the published ones can do."
)
NO_TEACHER = (
    "No weights of MedSAM were at hand. From a teacher with random weights nothing can be learnt, so that distillation "
    "from it took one step and all other samples went to the stages after it."
)
SMALL_TEACHER = 64
"""Side of the input of a teacher from which nothing can be learnt."""


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="root of the data sets, with train and val")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs, cases, answers and the table")
    parser.add_argument("--store", type=Path, help="packed training store, instead of packing DATA/train")
    parser.add_argument("--samples", type=int, default=2000, help="training samples of every network, all stages")
    parser.add_argument("--systems", nargs="+", default=list(RECIPES), choices=RECIPES)
    parser.add_argument("--batch", type=int, default=4, help="samples a step")
    parser.add_argument("--side", type=int, help="side of training inputs, instead of each system's own: for a try")
    parser.add_argument("--rate", type=float, help="learning rate of every stage, instead of the recipes'")
    parser.add_argument("--teacher", type=Path, help="weights of MedSAM (safetensors)")
    parser.add_argument("--cases", type=int, default=2, help="cases of every validation set; 0 for all")
    parser.add_argument("--sets", nargs="+", default=[], help="validation sets, by default all")
    parser.add_argument("--threads", type=int, help="threads of torch")
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def main() -> None:
    """Train, answer, score, and write ``leaderboard.md`` and ``leaderboard.json``."""
    options = parse()
    cases = make_cases(options)
    store = options.store or options.out / "store"
    if not is_store(store):
        open_store(options.data / "train", store, print)
    rows: dict[str, dict[str, Any]] = {}
    for name in options.systems:
        print(f"== {name}")
        rows[name] = measure(train(name, store, options), cases, options)
        write_table(rows, options)
    rows[REFERENCE] = measure({"model": REFERENCE, "weights": None, "samples": None}, cases, options)
    write_table(rows, options)
    print((options.out / "leaderboard.md").read_text(encoding="utf-8"))


def make_cases(options: argparse.Namespace) -> Path:
    """Cases with their truth, by the official steps but for the cleaning, which would leave no small object."""
    folder: Path = options.out / "cases"
    sets = [s for s in find_data_sets(options.data / "val") if not options.sets or s.name in options.sets]
    for data_set in sets:
        chosen = data_set.cases[: options.cases or None]
        for case in chosen:
            preparation = preparation_of(data_set)
            path = folder / f"{preparation.case_name(case.id, data_set.dimensions)}.npz"
            if not path.is_file():
                loaded = case.load()
                folder.mkdir(parents=True, exist_ok=True)
                write_case(path, make_case(case.id, loaded.image, loaded.labels, preparation))
    return folder


def preparation_of(data_set: DataSet) -> Preparation:
    """How a set's cases are made; what is not a modality of the challenge is called by its own name."""
    modality = modality_in(data_set.modality) or data_set.modality.split()[0]
    return Preparation("box2024", modality, data_set.name.replace("_", "-"), cleaning=CLEANINGS["none"])


def train(name: str, store: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Train a system so that each of its networks sees the samples that were asked for."""
    recipe = load_recipe(name)
    assert isinstance(recipe, SamRecipe)
    out = options.out / name
    changes = overrides(recipe, options)
    result = run_training(recipe, store, out, overrides=changes, device=options.device, threads=options.threads)
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    seen = {stage: entry["samples"] for stage, entry in manifest["stages"].items()}
    plan = make_plan(recipe)
    return {
        "model": recipe.model,
        "weights": result.weights,
        "samples": sum(seen[stage] for stage in chain(plan, plan.weights[recipe.model])),
        "seconds": result.seconds,
        "teacher": manifest.get("teacher"),
        "features": manifest.get("features"),
    }


def overrides(recipe: SamRecipe, options: argparse.Namespace) -> dict[str, Any]:
    """Steps of every stage by the samples that there are, and what a machine of this size asks for."""
    changes: dict[str, Any] = {"batch": options.batch, "accumulate": 1, "workers": 0}
    # Nothing is chosen by validation here, and embeddings of held-out slices take time.
    changes |= {"validate_every": 10**9, "validation_samples": 16}
    if options.device == "cpu":
        changes["precision"] = "fp32"
    if options.rate:
        changes["learning_rate"] = options.rate
    if options.side:
        changes["sampling.side"] = options.side
    taught = settle_teacher(recipe, options, changes)
    plan = make_plan(recipe)
    depth = max(
        sum(taught or recipe.stages[stage].kind != "distil" for stage in chain(plan, stage))
        for stage in plan.weights.values()
    )
    for stage, settings in recipe.stages.items():
        idle = settings.kind == "distil" and not taught
        changes[f"{stage}.steps"] = 1 if idle else max(1, options.samples // depth // options.batch)
        if idle:
            changes[f"{stage}.slices"] = options.batch
    return changes


def settle_teacher(recipe: SamRecipe, options: argparse.Namespace, changes: dict[str, Any]) -> bool:
    """Choose the teacher's weights; whether anything can be learnt from it."""
    if not any(settings.kind == "distil" for settings in recipe.stages.values()):
        return True
    trained = WeightsFiles.in_folder(recipe.teacher.model, options.out / recipe.teacher.model / "weights", PARTS[0])
    if recipe.teacher.model != "medsam" and trained.complete:
        # The teacher is itself a system of the table, and was trained before.
        changes["teacher.weights"] = str(trained.tensors)
        return True
    if recipe.teacher.model == "medsam" and options.teacher:
        changes["teacher.weights"] = str(options.teacher)
        return True
    changes |= {"teacher.weights": RANDOM, "teacher.side": SMALL_TEACHER}
    return False


def chain(plan: Plan, stage: str) -> list[str]:
    """The stages that a network has gone through, the last first."""
    steps = {step.stage: step for step in plan.steps}
    found, waiting = [], [stage]
    while waiting:
        name = waiting.pop()
        if name in steps and name not in found:
            found.append(name)
            waiting += steps[name].begins.values()
    return found


def measure(trained: Mapping[str, Any], cases: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Answer all cases and score them."""
    model, folder = trained["model"], trained["weights"]
    answers = options.out / "answers" / model
    files = WeightsFiles.in_folder(model, folder, PARTS[0]) if folder is not None else None
    outcomes = run_folder(find_cases(cases), answers, load_segmenter(model, weights=files), answer_boxes)
    write_outcomes(answers / SECONDS_FILE, outcomes)
    means = modality_means(score_folder(answers, cases, name=model).cases)
    described = {name: value for name, value in trained.items() if name != "weights"}
    problems = [f"{o.case}: {o.problem}" for o in outcomes if o.problem]
    return {**described, "problems": problems, "scores": {m.group: vars(m) for m in means}, "order": order(means)}


def order(means: Sequence[Means]) -> list[str]:
    """Groups in the order of the table, the mean over modalities last."""
    return [m.group for m in means]


def write_table(rows: Mapping[str, Mapping[str, Any]], options: argparse.Namespace) -> None:
    """Write what is known so far."""
    groups = next(iter(rows.values()))["order"]
    lines = ["# Leaderboard of this repository", "", CAVEAT.format(samples=options.samples), ""]
    if any((row.get("teacher") or {}).get("model") == "medsam" and not options.teacher for row in rows.values()):
        lines += [NO_TEACHER, ""]
    if any((row.get("features") or {}).get("tower") == "stand-in" for row in rows.values()):
        lines += ["MCP-MedSAM was trained with a random projection in place of its frozen CLIP.", ""]
    if options.side:
        lines += [f"Training inputs were {options.side} pixels wide and not of each system's own size.", ""]
    lines += ["DSC / NSD in percent, mean over cases; NSD with a tolerance of 2 mm or pixels.", ""]
    lines += ["| system | samples | " + " | ".join(groups) + " |", "|---|---|" + "---|" * len(groups)]
    for name, row in rows.items():
        scores = [f"{100 * row['scores'][g]['dsc']:.1f} / {100 * row['scores'][g]['nsd']:.1f}" for g in groups]
        known = row["samples"] if row["samples"] is not None else "bundled weights"
        lines.append(f"| {name} | {known} | " + " | ".join(scores) + " |")
    failed = sum(len(row["problems"]) for row in rows.values())
    lines += ["", f"Cases of each column: {', '.join(_counts(rows, groups))}. Cases without an answer: {failed}.", ""]
    write_text_atomically(options.out / "leaderboard.md", "\n".join(lines))
    settings = {name: str(value) for name, value in vars(options).items()}
    content = {"caveat": lines[2], "settings": settings, "rows": rows}
    write_text_atomically(options.out / "leaderboard.json", json.dumps(content, indent=1) + "\n")


def _counts(rows: Mapping[str, Mapping[str, Any]], groups: Sequence[str]) -> list[str]:
    scores = next(iter(rows.values()))["scores"]
    return [f"{group} {scores[group]['cases']}" for group in groups]


if __name__ == "__main__":
    main()
