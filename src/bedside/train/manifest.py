"""What makes a training repeatable and its weights accountable, as plain values."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

import bedside
from bedside.train.initial import Start
from bedside.train.packing import SetSummary
from bedside.train.processes import current_processes
from bedside.weights.card import WeightsCard, file_sha256
from bedside.weights.models import model_card

MANIFEST = "manifest.json"
OWN_LICENCE = "Apache-2.0"
"""Of weights that were trained from nothing but data."""


class RunSettings(Protocol):
    """What a manifest says of the settings of a run, whatever their kind."""

    @property
    def model(self) -> str:
        """In the registry."""
        ...

    @property
    def seed(self) -> int:
        """Of everything random."""
        ...

    @property
    def held_out(self) -> tuple[str, ...]:
        """Datasets that are not trained on."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        ...


def create_manifest(
    recipe: str, config: RunSettings, store_sha256: str, sets: Sequence[SetSummary], initial: Start | None
) -> dict[str, Any]:
    """Return the manifest of a run as it begins; ``describe_start`` is added to "starts" whenever it goes on."""
    return {
        "format": "bedside-training",
        "recipe": recipe,
        "seed": config.seed,
        "config": config.to_dict(),
        "initial": _describe_initial(initial) if initial else None,
        "store": {"sha256": store_sha256},
        "data": describe_data(sets, config),
        "starts": [],
    }


def _describe_initial(initial: Start) -> dict[str, Any]:
    """Return what a run begins with; how that was trained goes along, so that a card tells the whole history."""
    described = {"file": initial.file.name, "sha256": file_sha256(initial.file), "licence": initial.licence}
    return described | ({"training": initial.training} if initial.training else {})


def describe_start(step: int, device: torch.device) -> dict[str, Any]:
    """Return one start of a run: when, from which step, with which command, versions, device and processes."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "from_step": step,
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "versions": versions(),
        "platform": platform.platform(),
        "device": describe_device(device),
        "processes": current_processes().count,
    }


def versions() -> dict[str, str]:
    """Return versions of what the weights depend on."""
    return {
        "bedside": bedside.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }


def describe_device(device: torch.device) -> dict[str, Any]:
    """Return kind, name and, of a processor, the threads in use."""
    if device.type == "cuda":
        return {"kind": "cuda", "name": torch.cuda.get_device_name(device), "cuda": torch.version.cuda}
    name = platform.processor() or platform.machine()
    return {"kind": device.type, "name": name, "cores": os.cpu_count(), "threads": torch.get_num_threads()}


def describe_data(sets: Sequence[SetSummary], config: RunSettings) -> list[dict[str, Any]]:
    """Return every dataset with its licence and size, and whether it was trained on or only followed."""
    return [{**asdict(s), "use": "validation" if s.name in config.held_out else "training"} for s in sets]


def create_card(
    manifest: Mapping[str, Any], config: RunSettings, entries: Mapping[str, Any] | None = None
) -> WeightsCard:
    """Return the card of the weights that the run of ``manifest``, which holds its result, has made.

    Args:
        manifest: Manifest of the run.
        config: Its settings.
        entries: What inference has to know beside the weights; goes into ``training``.
    """
    result = manifest["result"]
    return WeightsCard(
        name=config.model,
        version=f"{bedside.__version__}, step {result['step']}",
        sha256="",
        licence=inherited_licence(manifest["initial"], config.model),
        source=f"trained by: bedside train {manifest['recipe']}",
        data=tuple(manifest["data"]),
        training={
            "seed": config.seed,
            "steps": result["step"],
            "samples": result["samples"],
            "seconds": round(result["seconds"], 1),
            "device": manifest["starts"][-1]["device"],
            "versions": manifest["starts"][-1]["versions"],
            "store_sha256": manifest["store"]["sha256"],
            "initial": manifest["initial"],
            "config": manifest["config"],
            **(entries or {}),
        },
        metrics={"held_out": result["held_out"]} if result["held_out"] else {},
    )


def inherited_licence(initial: object, model: str) -> str:
    """Return the licence of weights that were trained: that of those they started from, or this project's own.

    Where it is not known what they started from, or under which licence that was, it is the one of the model's
    published weights.

    Args:
        initial: Initial of a manifest: None for none, a mapping with a "licence", or a text where nothing is known.
        model: Name in the model registry.
    """
    if initial is None:
        return OWN_LICENCE
    stated = initial.get("licence") if isinstance(initial, Mapping) else None
    return str(stated) if stated else model_card(model).licence
