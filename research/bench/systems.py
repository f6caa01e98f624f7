"""Size, work, time and memory of the systems of the SAM family, each in every runtime and precision.

Every measurement is made in a process of its own, so that this one stays small and none of them disturbs another. What
has been measured is kept in a folder, one file for each system and setting, and is not measured again.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bedside.challenge.folder import Outcome, run_cold
from bedside.core.errors import DependencyError, InputError
from bedside.core.files import write_text_atomically
from bedside.evaluate.process import run_process
from bedside.weights.models import model_card, model_cards
from research.bench.warm import BOX, SIDE

SETTINGS = ("openvino:fp32", "openvino:bf16", "openvino:int8", "torch:fp32")
"""Runtime and precision."""
SLICES = 10
"""Of the volume that is answered."""
IMAGE, VOLUME = "2DBox_CT_0001", "3DBox_CT_0001"
VERB = "challenge2024"
MOST_REPEATS = 100


@dataclass(frozen=True)
class Row:
    """What a system takes in one setting.

    Attributes:
        system: Its name.
        setting: Runtime and precision.
        parameters: Parameters of the whole network.
        encoder_gmac: Thousand millions of multiplications with their additions, for an image.
        decoder_gmac: The same, for a box.
        encoder_ms: Milliseconds for an image, warm.
        decoder_ms: Milliseconds for a box, warm.
        first_s: Seconds of a whole process that answers the image, with nothing compiled before.
        image_s: The same with the compiled model in its cache.
        volume_s: The same for the volume.
        image_mb: The most memory of a process that answers the image.
        volume_mb: The same for the volume.
        problem: Why it could not be measured; "" where it was.
    """

    system: str
    setting: str
    parameters: int
    encoder_gmac: float = 0.0
    decoder_gmac: float = 0.0
    encoder_ms: float = 0.0
    decoder_ms: float = 0.0
    first_s: float = 0.0
    image_s: float = 0.0
    volume_s: float = 0.0
    image_mb: float = 0.0
    volume_mb: float = 0.0
    problem: str = ""


def system_names(asked: Sequence[str]) -> list[str]:
    """The systems that are asked for, the smallest first; all of the family where none is.

    Raises:
        InputError: A name is unknown, or of another family.
    """
    for name in asked:
        if (family := model_card(name).family) != "sam":
            raise InputError(f"system '{name}'", expected="a model of the family sam", got=f"one of {family}")
    cards = [card for card in model_cards() if card.family == "sam" and (not asked or card.name in asked)]
    return [card.name for card in sorted(cards, key=lambda card: card.parameters)]


def check_settings(settings: Sequence[str]) -> None:
    """Reject settings that cannot be measured.

    Raises:
        InputError: One is unknown.
    """
    for setting in settings:
        if setting not in SETTINGS:
            raise InputError("setting", expected=f"one of {', '.join(SETTINGS)}", got=f"'{setting}'")


def measure_systems(
    names: Sequence[str],
    settings: Sequence[str],
    folder: Path,
    machine: Mapping[str, Any],
    *,
    repeat: int,
    report: Callable[[str], None],
) -> None:
    """Measure what is not yet known, a file in ``folder`` for each system and setting.

    Args:
        names: Systems.
        settings: Settings of ``SETTINGS``.
        folder: Where figures are kept.
        machine: What the figures depend on: machine and versions. Figures of another are rejected.
        repeat: Measurements of which the median counts; the volume is answered once.
        report: Told what is being done.

    Raises:
        InputError: The folder holds figures of another machine, or ``repeat`` is out of range.
        DependencyError: A system could not be made.
    """
    if not 1 <= repeat <= MOST_REPEATS:
        raise InputError("repeat", expected=f"1 to {MOST_REPEATS}", got=repeat)
    for name in names:
        missing = [s for s in settings if read_row(row_path(folder, name, s), machine) is None]
        if not missing:
            continue
        with tempfile.TemporaryDirectory() as temporary:
            bench = Bench(name, Path(temporary), repeat)
            report(f"{name}: random weights")
            work = bench.prepare()
            for setting in missing:
                report(f"{name}: {setting}")
                content = {"machine": dict(machine), "row": asdict(bench.measure(setting, work))}
                write_text_atomically(row_path(folder, name, setting), json.dumps(content, indent=1) + "\n")


class Bench:
    """A system with random weights in a folder of its own.

    Args:
        name: Name of the system.
        folder: Where weights, cases, answers and compiled models go.
        repeat: Measurements of which the median counts.
    """

    def __init__(self, name: str, folder: Path, repeat: int) -> None:
        self._name = name
        self._folder = folder
        self._repeat = repeat
        cache = str(folder / "cache")
        self._environment = {**os.environ, "BEDSIDE_WEIGHTS": str(folder), "XDG_CACHE_HOME": cache}

    def prepare(self) -> dict[str, float]:
        """Write weights and cases; the work of encoder and decoder.

        Raises:
            DependencyError: It does not work, as where torch is not installed.
        """
        write_cases(self._folder)
        try:
            found: dict[str, float] = json.loads(self._run("research.random_weights", self._name, str(self._folder)))
        except _FailedError as error:
            fix = "it needs: pip install 'bedside[train]'"
            raise DependencyError(f"random weights of '{self._name}' cannot be made: {error}", fix=fix) from error
        return found

    def measure(self, setting: str, work: Mapping[str, float]) -> Row:
        """What the system takes in one setting, or why that cannot be told."""
        known: dict[str, Any] = {
            "system": self._name,
            "setting": setting,
            "parameters": model_card(self._name).parameters,
            **work,
        }
        runtime, precision = setting.split(":")
        try:
            if precision == "int8":
                self._run("research.random_weights", self._name, str(self._folder), "--int8")
            first = self._answer(IMAGE, runtime, precision)
            warm = json.loads(self._run("research.bench.warm", self._name, runtime, precision, str(self._repeat)))
            images = [self._answer(IMAGE, runtime, precision) for _ in range(self._repeat)]
            volume = self._answer(VOLUME, runtime, precision)
        except _FailedError as error:
            return Row(**known, problem=str(error))
        return Row(
            **known,
            **warm,
            first_s=first.seconds,
            image_s=statistics.median(image.seconds for image in images),
            volume_s=volume.seconds,
            image_mb=max(image.megabytes for image in images),
            volume_mb=volume.megabytes,
        )

    def _run(self, module: str, *arguments: str) -> str:
        done = run_process([sys.executable, "-m", module, *arguments], self._environment)
        if done.status:
            raise _FailedError(done.problem)
        return done.output

    def _answer(self, case: str, runtime: str, precision: str) -> Outcome:
        options = ["--model", self._name, "--runtime", runtime, "--precision", precision]
        answers = self._folder / "answers"
        (outcome,) = run_cold(VERB, [self._folder / f"{case}.npz"], answers, options, environment=self._environment)
        if outcome.problem:
            raise _FailedError(outcome.problem)
        return outcome


class _FailedError(Exception):
    """A process that measures could not, and why."""


def write_cases(folder: Path) -> None:
    """An image and a volume of noise with one box each, as the challenge has them."""
    generator = np.random.default_rng(0)
    image = generator.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    volume = generator.integers(0, 255, (SLICES, SIDE, SIDE), dtype=np.uint8)
    np.savez(folder / f"{IMAGE}.npz", imgs=image, boxes=np.array([BOX]))
    box = np.array([[*BOX[:2], 0, *BOX[2:], SLICES - 1]])
    np.savez(folder / f"{VOLUME}.npz", imgs=volume, boxes=box, spacing=np.array([1.0, 1.0, 3.0]))


def row_path(folder: Path, name: str, setting: str) -> Path:
    """Where the figures of a system in a setting are kept."""
    return folder / f"{name}.{setting.replace(':', '-')}.json"


def read_row(path: Path, machine: Mapping[str, Any]) -> Row | None:
    """The figures that a file holds; None where there is none.

    Raises:
        InputError: They are of another machine or other versions, or no figures at all.
    """
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        row, made_on = Row(**content["row"]), content["machine"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}", expected="figures of a system", got=f"{type(error).__name__}") from error
    if made_on != dict(machine):
        raise InputError(f"{path}", expected="figures of this machine", got="another's", fix="use another --out")
    return row
