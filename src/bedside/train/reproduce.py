"""Doing a training again from its manifest, and saying whether the same came out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedside.core.errors import FormatError, InputError
from bedside.train.config import TrainingConfig
from bedside.train.initial import initial_path, read_start
from bedside.train.manifest import MANIFEST
from bedside.train.packing import PARTS, is_store, open_store
from bedside.train.recipes import settings_of
from bedside.train.run import STORE, recipe_initial, run_training
from bedside.train.staged import StagedRecipe
from bedside.weights.card import file_sha256

FORMAT = "bedside-training"
SPREAD = 0.02
"""Largest difference of a held-out DSC that counts as the same result, where the recipe states none."""


@dataclass(frozen=True)
class Reproduction:
    """What became of a run that was done again.

    Attributes:
        tensors: SHA-256 of each network's tensors, of the first run and of this one.
        scores: Each held-out DSC, of the first run and of this one.
        spread: Largest difference of these that counts as the same.
    """

    tensors: Mapping[str, tuple[str, str]]
    scores: Mapping[str, tuple[float, float]]
    spread: float

    @property
    def identical(self) -> bool:
        """Whether all tensors are equal to the last bit."""
        return bool(self.tensors) and all(first == second for first, second in self.tensors.values())

    @property
    def within(self) -> bool:
        """Whether the result is the same: bit for bit, or by every held-out DSC within the spread."""
        close = all(abs(first - second) <= self.spread for first, second in self.scores.values())
        return self.identical or (bool(self.scores) and close)

    def lines(self) -> list[str]:
        """Return what there is to say."""
        said = []
        for name, (first, second) in self.tensors.items():
            word = "equal bit for bit" if first == second else "differ"
            said.append(f"tensors of {name}: {word} ({first[:12]}..., {second[:12]}...)")
        for name, (before, after) in self.scores.items():
            difference = abs(before - after)
            word = "within" if difference <= self.spread else "beyond"
            said.append(f"held-out {name}: {before:.4f} and {after:.4f}, {word} the spread of {self.spread}")
        if not self.identical and not self.scores:
            said.append("no held-out DSC was measured, so that only equal tensors would count")
        said.append("reproduced" if self.within else "NOT reproduced")
        return said


def reproduce(
    source: Path,
    out: Path,
    *,
    data: Path | None = None,
    initial: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
    spread: float | None = None,
    report: Callable[[str], None] = print,
    advance: Callable[[int, int], None] = lambda _step, _steps: None,
) -> Reproduction:
    """Train again as a manifest says, in a new folder, and compare.

    Args:
        source: Folder of a run, or its manifest.
        out: Folder of the new run, which must not hold one.
        data: Packed store or folder of datasets; by default the store in the folder of the run.
        initial: Starting weights, where the first run had any but those of its recipe.
        device: Where to train. Equal bits need a CPU.
        threads: Threads of torch; by default as many as the first run had, because sums depend on it.
        spread: Largest difference of a held-out DSC; by default that of the recipe.
        report: Called with each line of the log.
        advance: Called after each step with the steps done and their total.

    Raises:
        FormatError: There is no manifest, or none of ours.
        InputError: The run was not finished, the data or the starting weights are others, or ``out`` holds a run.
    """
    manifest = read_manifest(source)
    config = _settings(manifest)
    before = manifest["result"]
    if (out / MANIFEST).exists():
        raise InputError("folder of the new run", expected="one without a run", got=str(out))
    store = _store_folder(manifest, source, out, data, report)
    initial = initial or recipe_initial(config)
    _check_initial(manifest, initial, config)
    used = threads or _threads(manifest)
    run_training(config, store, out, device=device, threads=used, initial=initial, report=report, advance=advance)
    after = read_manifest(out)["result"]
    for entry in ("teacher", "features", "pretrained"):
        if manifest.get(entry) != (now := read_manifest(out).get(entry)):
            report(f"the {entry} differs: {manifest.get(entry)} then, {now} now")
    return compare_results(before, after, spread if spread is not None else getattr(config, "spread", SPREAD))


def compare_results(before: Mapping[str, Any], after: Mapping[str, Any], spread: float) -> Reproduction:
    """Return two entries "result" of manifests side by side."""
    tensors, again = before.get("tensors", {}), after.get("tensors", {})
    names = [name for name in before["held_out"] if name.startswith("dsc") and name in after["held_out"]]
    return Reproduction(
        {name: (tensors[name], again.get(name, "none")) for name in tensors},
        {name: (float(before["held_out"][name]), float(after["held_out"][name])) for name in names},
        spread,
    )


def read_manifest(source: Path) -> dict[str, Any]:
    """Return the manifest of a run, given its folder or the file.

    Raises:
        FormatError: It is missing, damaged, or something else.
    """
    path = source / MANIFEST if source.is_dir() else source
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT or not isinstance(manifest["config"], dict):
            raise KeyError("format")
    except (OSError, ValueError, KeyError, TypeError) as error:
        got = f"{type(error).__name__}: {error}"
        raise FormatError(f"manifest {path}", expected="that of a training", got=got) from error
    return manifest


def _settings(manifest: Mapping[str, Any]) -> TrainingConfig | StagedRecipe:
    """Return the settings of a run that reached its end.

    Raises:
        InputError: It did not.
    """
    values = manifest["config"]
    result = manifest.get("result", {})
    staged = "stages" in values
    ended = bool(result.get("tensors")) if staged else result.get("step") == values["steps"]
    if not ended:
        raise InputError(
            "run to reproduce", expected="one that reached its last step", got=f"step {result.get('step')}"
        )
    config = settings_of(values)
    measured = result.get("precision")
    if not isinstance(config, TrainingConfig) or config.precision != "auto" or not measured:
        return config
    return config.with_overrides({"precision": measured["gradient"], "round_precision": measured["rounds"]})


def _store_folder(
    manifest: Mapping[str, Any], source: Path, out: Path, data: Path | None, report: Callable[[str], None]
) -> Path:
    """Return the folder of a packed store that is the one of the run.

    Raises:
        InputError: There is none, or it is another.
    """
    folder = data if data is not None else (source if source.is_dir() else source.parent) / STORE
    if data is None and not is_store(folder):
        raise InputError("data of the run", expected="its store, or --data", got="none beside the manifest")
    if not is_store(folder):
        open_store(folder, out / STORE, report)
        folder = out / STORE
    digest = hashlib.sha256()
    for path in sorted(folder.glob(PARTS)):
        digest.update(path.read_bytes())
    wanted = manifest["store"]["sha256"]
    if digest.hexdigest() != wanted:
        got = f"{digest.hexdigest()[:12]}..."
        raise InputError("training store", expected=f"the one of the run, sha256 {wanted[:12]}...", got=got)
    return folder


def _check_initial(manifest: Mapping[str, Any], initial: str, config: TrainingConfig | StagedRecipe) -> None:
    """Starting weights must be those of the run.

    Raises:
        InputError: They are others.
    """
    before = manifest.get("initial")
    path = initial_path(initial, config.model)
    if path is not None and path.is_dir() and isinstance(config, TrainingConfig):
        path = read_start(path, config).file
    if before is None and path is None:
        return
    wanted = before.get("sha256") if isinstance(before, dict) else before
    got = file_sha256(path) if path is not None else None
    if wanted != got:
        named = before.get("file") if isinstance(before, dict) else before
        raise InputError("starting weights", expected=f"those of the run ({named})", got=initial, fix="use --initial")


def _threads(manifest: Mapping[str, Any]) -> int | None:
    starts = manifest.get("starts") or [{}]
    threads = starts[-1].get("device", {}).get("threads")
    return int(threads) if threads else None
