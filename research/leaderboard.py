"""Systems of the laptop challenge, each trained by its recipe on the same data, and answering the same boxes.

Every network sees the same number of training samples, at the system's own size. Then all are given the tight boxes of
the objects of ``DATA/val``, as ``bedside evaluate`` gives them: on images, and in volumes on the slice in which an
object is largest. What comes out says how the systems learn from little; the published weights are others.

    python -m research.leaderboard --data DATA --out FOLDER --samples 300 --rate 5e-4 --write docs/systems.md

The same command goes on where it was stopped, system by system: what is trained is not trained again, and what has been
evaluated is read from its file. ``--system`` takes one at a time, and ``--keep`` leaves on the page what it says of
systems that the folder does not have: the same samples and seeds give the same weights.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedside.core.errors import InputError
from bedside.core.files import write_text_atomically
from bedside.core.markdown import markdown_table, read_section, read_tables, replace_section
from bedside.data.catalogue import DataSet, find_data_sets
from bedside.engines import load_segmenter
from bedside.engines.sam.training.plan import Plan, make_plan
from bedside.engines.sam.training.recipe import RANDOM, SamRecipe
from bedside.evaluate.baselines import BASELINES
from bedside.evaluate.cases import ObjectSelection
from bedside.evaluate.clicks_protocol import ClicksProtocol
from bedside.evaluate.results import to_json
from bedside.evaluate.runner import Entry, evaluate_sets
from bedside.train.packing import open_store
from bedside.train.recipes import load_recipe
from bedside.train.run import run_training
from bedside.weights.store import PARTS, WeightsFiles

SYSTEMS = {
    "lite-medsam": "lite-medsam",
    "daft": "daft",
    "rep-medsam": "rep-medsam",
    "swin-lite-medsam": "swin-lite-medsam",
    "mcp-medsam": "mcp-medsam",
    "medficientsam-l1": "medficientsam",
    "medficientsam-l0": "medficientsam",
    "medficientsam-l2": "medficientsam",
    "medsam": "medsam",
}
"""Each system with its recipe, in the order in which they are trained: LiteMedSAM is DAFT's teacher."""
BASELINE, REFERENCE = "box", "bedside-2d"
"""The box itself as the mask, and bundled weights, trained on the same data for longer."""
SECTION = "leaderboard"
ITSELF = "the box itself"
Cells = dict[str, list[str]]
CAVEAT = (
    "**These are not the published weights.** Every system was trained here, from initial weights, on the open data of "
    "this repository, with {samples} samples, where the published ones saw millions: so few only show that the recipes "
    "run and learn, and neither how good a system is nor which is better."
)
NO_TEACHER = (
    "No weights of MedSAM were at hand. In its place stood a network with random weights, from which nothing can be "
    "learnt: distillation from it took one step, and all other samples went to the stages after it. DAFT learnt from "
    "the LiteMedSAM of this table."
)
STAND_IN = "MCP-MedSAM was trained with a random projection in place of its frozen CLIP."
SMALL_TEACHER = 64
"""Side of the input of a teacher from which nothing can be learnt."""
FOLLOWED = 8
"""Held-out samples by which a run is followed; nothing is chosen by them."""


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="root of the data sets, with train and val")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs, evaluations and the table")
    parser.add_argument("--store", type=Path, help="packed training store, instead of packing DATA/train")
    parser.add_argument("--samples", type=int, default=300, help="training samples of every network, all stages")
    parser.add_argument("--system", nargs="+", default=list(SYSTEMS), choices=SYSTEMS, help="by default all")
    parser.add_argument("--batch", type=int, default=2, help="samples a step")
    parser.add_argument("--side", type=int, help="side of training inputs, instead of each system's own: for a try")
    parser.add_argument("--rate", type=float, help="learning rate of every stage, instead of the recipes'")
    parser.add_argument("--teacher", type=Path, help="weights of MedSAM (safetensors)")
    parser.add_argument("--sets", nargs="+", default=[], help="validation sets, by default all")
    parser.add_argument("--threads", type=int, help="threads of torch")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into a page, between its markers")
    parser.add_argument("--keep", action="store_true", help="keep what PAGE says of systems that are not in FOLDER")
    options = parser.parse_args()
    if options.keep and not options.write:
        parser.error("--keep: expected --write PAGE, whose rows are kept")
    return options


def main() -> None:
    """Train, answer, score, and write ``leaderboard.md`` and ``leaderboard.json``."""
    options = parse()
    # DAFT answers ultrasound by LiteMedSAM itself, which is that of this table.
    os.environ["BEDSIDE_WEIGHTS"] = str(options.out / "lite-medsam" / "weights")
    store = options.store or options.out / "store"
    if options.store is None:
        open_store(options.data / "train", store, print)
    sets = [s for s in find_data_sets(options.data / "val") if not options.sets or s.name in options.sets]
    reference = Entry(REFERENCE, "model", load_segmenter(REFERENCE))
    for entry in (Entry(BASELINE, "baseline", BASELINES.get(BASELINE)()), reference):
        evaluate(entry, sets, options.out / f"{entry.name}.json")
    for name in options.system:
        print(f"== {name}", flush=True)
        write_row(name, train(name, store, options), sets, options)
        publish(options)
    print((options.out / "leaderboard.md").read_text(encoding="utf-8"))


def train(name: str, store: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Train a system so that each of its networks sees the samples that were asked for; what the table says of it."""
    recipe = load_recipe(SYSTEMS[name])
    assert isinstance(recipe, SamRecipe)
    recipe = recipe.with_overrides({"model": name})
    changes = overrides(recipe, options)
    out = options.out / name
    run_training(recipe, store, out, overrides=changes, device=options.device, threads=options.threads, report=tell)
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    plan, done = make_plan(recipe), manifest["stages"]
    # Of a system of several networks, the one that went through most; stages without data were left out.
    chains = [chain(plan, stage) for stage in plan.weights.values() if stage in done]
    return {
        "recipe": SYSTEMS[name],
        "samples": max(sum(done[stage]["samples"] for stage in stages) for stages in chains),
        "steps": max(sum(done[stage]["step"] for stage in stages) for stages in chains),
        "losses": done[plan.weights[name]]["losses"],
        "teacher": manifest.get("teacher"),
        "features": manifest.get("features"),
    }


def tell(line: str) -> None:
    """Print a line of a training's log at once: the log is read while it goes on."""
    print(line, flush=True)


def overrides(recipe: SamRecipe, options: argparse.Namespace) -> dict[str, Any]:
    """Steps of every stage by the samples that there are, and what a machine of this size asks for."""
    changes: dict[str, Any] = {"batch": options.batch, "accumulate": 1, "workers": 0}
    # Checkpoints are written at validations: a run that is killed loses a few minutes.
    changes |= {"log_every": 10, "validate_every": 30, "validation_samples": FOLLOWED}
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


def evaluate(entry: Entry, sets: Sequence[DataSet], path: Path) -> None:
    """Give a segmenter the tight boxes and keep its scores; one that has been given them already is not asked again."""
    known = read(path)
    asked = json.loads(json.dumps({"candidates": [vars(entry.candidate())], "sets": [s.name for s in sets]}))
    if known and asked == {"candidates": known["candidates"], "sets": [s["name"] for s in known["sets"]]}:
        return
    evaluation = evaluate_sets(sets, [entry], ClicksProtocol(clicks=0), ObjectSelection())
    write_text_atomically(path, to_json([evaluation]))


def write_row(name: str, trained: Mapping[str, Any], sets: Sequence[DataSet], options: argparse.Namespace) -> None:
    """Evaluate a system that was trained, and keep its row of the table."""
    files = WeightsFiles.in_folder(name, options.out / name / "weights", PARTS[0])
    evaluate(Entry(name, "model", load_segmenter(name, weights=files)), sets, options.out / f"{name}.json")
    write_text_atomically(options.out / name / "row.json", json.dumps(trained, indent=1) + "\n")


def publish(options: argparse.Namespace) -> None:
    """Write what is known so far, of systems that were trained by earlier commands, too."""
    rows = {name: read(options.out / name / "row.json") for name in SYSTEMS}
    done = {name: row for name, row in rows.items() if row is not None}
    evaluations = {
        name: json.loads((options.out / f"{name}.json").read_text(encoding="utf-8"))
        for name in (BASELINE, *done, REFERENCE)
    }
    board = Board(notes(done, options), training_cells(done, evaluations), set_cells(evaluations))
    caveat = CAVEAT.format(samples=options.samples)
    if options.keep:
        board = board.over(Board.read(read_section(options.write, SECTION), caveat))
    text = board.page(caveat)
    write_text_atomically(options.out / "leaderboard.md", text)
    settings = {name: str(value) for name, value in vars(options).items()}
    scores = {name: {s["set_name"]: s["curves"] for s in e["summaries"]} for name, e in evaluations.items()}
    content = {"settings": settings, "rows": done, "scores": scores}
    write_text_atomically(options.out / "leaderboard.json", json.dumps(content, indent=1) + "\n")
    if options.write:
        replace_section(options.write, SECTION, text)


def notes(rows: Mapping[str, Mapping[str, Any]], options: argparse.Namespace) -> list[str]:
    """What a reader must know of these trainings."""
    rate = f"a learning rate of {options.rate:g} in every stage" if options.rate else "the recipes' own rates"
    found = [
        f"Batches of {options.batch}, {rate}; all else as the recipes have it.",
        "Loss is that of the last stage on all data, over its first and its last ten steps.",
    ]
    if any((row["teacher"] or {}).get("weights") == RANDOM for row in rows.values()):
        found.append(NO_TEACHER)
    if any((row["features"] or {}).get("tower") == "stand-in" for row in rows.values()):
        found.append(STAND_IN)
    if options.side:
        found.append(f"Training inputs were {options.side} pixels wide and not of each system's own size.")
    return found


def training_cells(rows: Mapping[str, Mapping[str, Any]], evaluations: Mapping[str, Any]) -> Cells:
    """How each system was trained, and its means over the sets."""
    cells = {}
    for name, evaluation in evaluations.items():
        row = rows.get(name)
        curves = evaluation["overall"][0]["curves"]
        scores = [f"{curves[metric]['values'][0]:.3f}" for metric in ("dsc", "nsd")]
        trained = ["", "", ""]
        if row is not None:
            losses = row["losses"]
            trained = [f"{row['samples']} in {row['steps']} steps", f"{losses['first']:.3f}", f"{losses['last']:.3f}"]
        cells[name] = [*trained, *scores]
    return cells


def set_cells(evaluations: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The number of objects and the DSC of every system, of every set."""
    sets = {s["name"]: str(s["objects"]) for s in next(iter(evaluations.values()))["sets"] if s["objects"]}
    scores = {
        name: {s["set_name"]: s["curves"]["dsc"]["values"][0] for s in evaluation["summaries"]}
        for name, evaluation in evaluations.items()
    }
    return {
        name: {"objects": objects, **{system: f"{scores[system][name]:.3f}" for system in evaluations}}
        for name, objects in sets.items()
    }


@dataclass(frozen=True)
class Board:
    """What the section of the page says.

    Attributes:
        notes: What a reader must know.
        training: The cells of each system's row.
        sets: Sets of each validation set the cells by column: ``objects``, and each system's DSC.
    """

    notes: list[str]
    training: Cells
    sets: dict[str, dict[str, str]]

    @classmethod
    def read(cls, text: str, caveat: str) -> Board:
        """From a page, which must say the same of the number of samples.

        Raises:
            InputError: It says something else.
        """
        lines = text.splitlines()
        if lines[0] != caveat:
            raise InputError("page whose rows are kept", expected=f"'{caveat}'", got=f"'{lines[0]}'")
        (_, rows), (headings, scores) = read_tables(text)
        return cls(
            [line.removeprefix("- ") for line in lines if line.startswith("- ")],
            {BASELINE if row[0] == ITSELF else row[0].strip("`"): row[1:] for row in rows},
            {row[0]: dict(zip(headings[1:], row[1:], strict=True)) for row in scores},
        )

    def over(self, other: Board) -> Board:
        """This board, and of another what this one does not have."""
        notes = self.notes + [note for note in other.notes if note not in self.notes]
        sets = {name: other.sets.get(name, {}) | cells for name, cells in self.sets.items()}
        return Board(notes, other.training | self.training, sets)

    def page(self, caveat: str) -> str:
        """In Markdown."""
        columns = [name for name in (BASELINE, *SYSTEMS, REFERENCE) if name in self.training]
        names = {name: ITSELF if name == BASELINE else f"`{name}`" for name in columns}
        training = [[names[name], *self.training[name]] for name in columns]
        scores = [[name, cells["objects"], *(cells[c] for c in columns)] for name, cells in self.sets.items()]
        lines = [caveat, "", *(f"- {note}" for note in self.notes), ""]
        lines += [markdown_table(("system", "samples", "loss, first", "last", "DSC", "NSD"), training), ""]
        lines += [markdown_table(("DSC on", "objects", *columns), scores), ""]
        if missing := [f"`{name}`" for name in SYSTEMS if name not in columns]:
            lines += [f"Not trained for this table: {', '.join(missing)}."]
        return "\n".join(lines) + "\n"


def read(path: Path) -> dict[str, Any] | None:
    """What a file of JSON holds; None where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


if __name__ == "__main__":
    main()
