"""Commands that write files: what is there after a kill is the old or the new, and the next run completes.

Each is run once to its end in a folder of its own, which tells how long it takes, how many operations on files it
makes, and what it writes. Then it is killed, a few times one after the other, in copies of the folder as it was.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np

from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.io import read_mask, write_image, write_mask
from research.chaos.children import Ended, How, Kill, run_child

IN_A_ROW = 4
"""Kills before a run is left alone."""
MASKS = (".nii.gz", ".nrrd", ".mha", ".png")


@dataclass(frozen=True)
class Command:
    """A command that is killed.

    Attributes:
        name: For the table.
        prepare: Writes its input into an empty folder.
        work: Runs it in that folder; returns the exit status.
        older: Runs it before, with other settings, so that there is older work in its place; None where there is none.
        output: File or folder below the folder that it writes.
        compared: Of the files it writes, whether one has to be the same after each run; others have to be whole.
        hows: Ways of dying.
    """

    name: str
    prepare: Callable[[Path], None]
    work: Callable[[Path], int]
    older: Callable[[Path], int] | None = None
    output: str = "out"
    compared: Callable[[Path], bool] = lambda _: True
    hows: tuple[How, ...] = ("moment", "operation")


@dataclass
class Tally:
    """What became of a command or server that was killed."""

    kills: int = 0
    ended: int = 0
    lost: int = 0
    wrong: int = 0
    notes: list[str] = field(default_factory=list)

    def fail(self, kind: str, note: str) -> None:
        """Count a loss or a wrong file."""
        if kind == "lost":
            self.lost += 1
        else:
            self.wrong += 1
        self.notes.append(f"{kind}: {note}")


class Killing:
    """One command under fire.

    Args:
        command: The command.
        folder: Empty; copies are made in it.

    Raises:
        RuntimeError: It does not run to its end even when it is left alone.
    """

    def __init__(self, command: Command, folder: Path) -> None:
        self.command, self.folder = command, folder
        self.tally = Tally()
        self._start = folder / "start"
        self._start.mkdir()
        command.prepare(self._start)
        if command.older is not None:
            self._run_whole(self._start, command.older)
        self._old = contents(self._start / command.output)
        whole = folder / "whole"
        shutil.copytree(self._start, whole)
        self._seconds, self._operations = 0.0, 0
        ended = self._run_whole(whole, command.work)
        self._seconds, self._operations = ended.seconds, ended.operations
        self._new = contents(whole / command.output)
        if not self._new:
            raise RuntimeError(f"{command.name} writes nothing: {ended.said}")

    def round(self, random: Random) -> None:
        """Kill it a few times, look each time at what is there, and run it to its end."""
        command, place = self.command, self.folder / "killed"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self._start, place)
        last = None
        for _ in range(IN_A_ROW):
            last = self._kill(place, random)
        ended = run_child(lambda: command.work(place), None, self.folder / "log.txt")
        if ended.status != 0:
            self.tally.fail("wrong", f"{last}: the next run fails: {ended.said[-300:]}")
        self._compare(place, f"{last}, after the next run", ended=True)

    def _kill(self, place: Path, random: Random) -> Kill:
        command = self.command
        how = random.choice(command.hows)
        at = random.uniform(0, self._seconds) if how != "operation" else random.randint(1, max(1, self._operations))
        kill = Kill(how, at)
        ended = run_child(lambda: command.work(place), kill, self.folder / "log.txt")
        if not ended.hit:
            self.tally.ended += 1
        self.tally.kills += ended.hit
        if how == "worker" and ended.status != 0:
            self.tally.fail("wrong", f"{kill}: a dead worker ended the run: {ended.said[-300:]}")
        self._compare(place, f"{kill}", ended=False)
        return kill

    def _compare(self, place: Path, when: str, *, ended: bool) -> None:
        found = contents(place / self.command.output)
        for name in sorted({*found, *self._old, *self._new}):
            path = Path(name)
            now, old, new = found.get(name), self._old.get(name), self._new.get(name)
            scratch = any(part.startswith(".bedside-") for part in path.parts)
            if scratch:
                if ended:
                    self.tally.fail("wrong", f"{when}: {name} was left")
            elif now is None and old is not None:
                self.tally.fail("lost", f"{when}: {name} is gone")
            elif now is None and ended and self.command.compared(path):
                self.tally.fail("wrong", f"{when}: {name} is missing")
            elif now is None:
                continue
            elif now.startswith("torn"):
                self.tally.fail("wrong", f"{when}: {name} is {now}")
            elif not self.command.compared(path):
                continue
            elif ended and now != new:
                self.tally.fail("wrong", f"{when}: {name} is another")
            elif now not in (old, new):
                self.tally.fail("wrong", f"{when}: {name} is neither the old nor the new")

    def _run_whole(self, place: Path, work: Callable[[Path], int]) -> Ended:
        ended = run_child(lambda: work(place), None, self.folder / "log.txt")
        if ended.status != 0:
            raise RuntimeError(f"{self.command.name}: {ended.said}")
        return ended


def contents(output: Path) -> dict[str, str]:
    """Return what each file below a path holds, or that it is torn."""
    files = [output] if output.is_file() else [p for p in output.rglob("*") if p.is_file()]
    beside = [p for p in output.parent.glob(".bedside-*") if p.is_file()]
    return {str(p.relative_to(output.parent)): _content(p) for p in (*files, *beside)}


def _content(path: Path) -> str:
    content = path.read_bytes()
    if any(part.startswith(".bedside-") for part in path.parts):
        return "scratch"
    try:
        return _sum(_meaning(path, content))
    except Exception as error:
        return f"torn: {type(error).__name__}: {error}"


def _meaning(path: Path, content: bytes) -> bytes:
    """Return what a file means, in bytes; raises what its library raises where the file is not whole."""
    if path.name.endswith(MASKS):
        mask = read_mask(path)
        return np.ascontiguousarray(mask.array).tobytes() + repr(mask.geometry).encode()
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=True) as members:
            return b"".join(name.encode() + members[name].tobytes() for name in sorted(members.files))
    if path.suffix == ".safetensors":
        # By its tensors: the library writes the lines of its header in an order that changes from run to run.
        from safetensors import safe_open

        with safe_open(path, "numpy") as tensors:
            return b"".join(name.encode() + tensors.get_tensor(name).tobytes() for name in sorted(tensors.keys()))
    if path.suffix == ".json":
        return json.dumps(json.loads(content), sort_keys=True).encode()
    if path.suffix == ".pt":
        import torch

        torch.load(path, map_location="cpu", weights_only=False)
    return content


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# The commands


def run_bedside(*arguments: object) -> int:
    """Run a command line of Bedside in this process."""
    from bedside.cli.main import execute

    return execute([str(argument) for argument in arguments])


def _picture(folder: Path, name: str = "image.png", seed: int = 0) -> Path:
    random = np.random.default_rng(seed)
    array = random.normal(60, 8, (180, 200))
    array[40:120, 50 + 10 * seed : 130 + 10 * seed] += 110
    path = folder / name
    write_image(path, Image(array.clip(0, 255).astype(np.uint8), Geometry.create(array.shape)))
    return path


def _scan(folder: Path) -> None:
    random = np.random.default_rng(0)
    array = random.normal(0, 30, (12, 60, 70))
    array[3:9, 15:45, 20:50] += 400
    geometry = Geometry.create(array.shape, (0.8, 0.8, 3.0))
    write_image(folder / "scan.nii.gz", Image(array.astype(np.int16), geometry))
    mask = np.zeros(array.shape, np.uint8)
    mask[3:9, 15:45, 20:50] = 1
    mask[5, 25:30, 30:35] = 0
    write_mask(folder / "mask.nii.gz", mask, geometry)


def _segment(suffix: str) -> Command:
    def segment(place: Path, box: str) -> int:
        return run_bedside("segment", place / "image.png", "--box", box, "-o", place / f"out{suffix}")

    return Command(
        f"segment, {suffix}",
        _picture_alone,
        lambda place: segment(place, "50,40,130,120"),
        lambda place: segment(place, "60,45,100,90"),
        f"out{suffix}",
    )


def _picture_alone(folder: Path) -> None:
    _picture(folder)


def _edit(place: Path, radius: int) -> int:
    steps = ("--fill-holes", "--grow", radius)
    return run_bedside("edit", place / "mask.nii.gz", *steps, "-o", place / "out.nrrd")


def _export(place: Path, width: float) -> int:
    from bedside.core.prompts import Box
    from bedside.session import Session

    session = Session(place / "image.png")
    session.add(Box((50, 40), (50 + width, 120)))
    (place / "out").mkdir(exist_ok=True)
    session.save(place / "out" / "journal.json")
    session.save_segmentation(place / "out" / "labels.nrrd")
    return 0


def _batch_input(folder: Path) -> None:
    rows = ["image,object,box"]
    for number in range(4):
        name = _picture(folder, f"image{number}.png", number).name
        rows.append(f'{name},part,"{50 + 10 * number},40,{130 + 10 * number},120"')
    (folder / "images.csv").write_text("\n".join(rows) + "\n")


def _batch(place: Path) -> int:
    return run_bedside("batch", place / "images.csv", "-o", place / "out", "--workers", 2, "--threads", 1)


def _study(folder: Path) -> None:
    geometry = Geometry.create((14, 40, 50), (0.7, 0.8, 2.5))
    labels = np.zeros(geometry.shape, np.uint8)
    labels[2:12, 5:25, 5:25] = 12
    labels[2:12, 5:25, 28:48] = 3
    array = np.where(labels > 0, 90, -90).astype(np.int16)
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    for name in ("p1", "p2", "p3"):
        write_image(folder / f"images/{name}.nii.gz", Image(array, geometry))
        write_mask(folder / f"labels/{name}.nii.gz", labels, geometry)


def _prepare(place: Path) -> int:
    given = (place / "images", place / "labels", place / "out")
    return run_bedside("prepare", "box2024", *given, "--modality", "CT", "--data-set", "S")


def _training_data(folder: Path) -> None:
    from bedside.data.store import Item, ItemInfo, write_store

    maps = np.zeros((1, 40, 40), dtype=np.uint16)
    maps[0, 10:30, 8:28] = 1
    image = (maps[0] * 100 + np.random.default_rng(0).integers(0, 30, (40, 40))).astype(np.uint8)
    info = ItemInfo("made/0", "made", "image", "made", None, ("label",))
    write_store(folder / "data", [Item(info, image, maps, np.array([[0, 1, 400, 10, 8, 30, 28]], dtype=np.int32))])


# The precision is said, as otherwise a measurement chooses it, which a busy machine may turn around.
TINY = ("sampling.grid=32", "coarse_share=0", "batch=1", "workers=0", "held_out=[]", "validate_every=1", "log_every=1",
        "precision=fp32")  # fmt: skip


def _train(place: Path) -> int:
    settings = [word for setting in TINY for word in ("--set", setting)]
    given = ("train", "bedside-2d", "--data", place / "data", "--out", place / "out", "--device", "cpu", "--steps", 4)
    return run_bedside(*given, "--initial", "none", "--threads", 1, *settings)


def _same_weights(path: Path) -> bool:
    return path.suffix in (".safetensors", ".onnx")


COMMANDS = (
    *(_segment(suffix) for suffix in (".png", ".nii.gz", ".nrrd")),
    Command("edit", _scan, lambda place: _edit(place, 1), lambda place: _edit(place, 3), "out.nrrd"),
    Command("export of a session", _picture_alone, lambda p: _export(p, 80), lambda p: _export(p, 40)),
    Command(
        "batch, 2 processes",
        _batch_input,
        _batch,
        compared=lambda path: path.name.endswith(MASKS),
        hows=("moment", "operation", "worker"),
    ),
    Command("prepare", _study, _prepare),
    Command("train, 4 steps", _training_data, _train, compared=_same_weights),
)
