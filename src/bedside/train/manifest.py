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
from typing import Any

import numpy as np
import torch

import bedside
from bedside.models.registry import model_card
from bedside.train.config import TrainingConfig
from bedside.train.packing import SetSummary
from bedside.train.stages import count_samples
from bedside.weights.card import WeightsCard, file_sha256

MANIFEST = "manifest.json"


def create_manifest(
    recipe: str, config: TrainingConfig, store_sha256: str, sets: Sequence[SetSummary], initial: Path | None
) -> dict[str, Any]:
    """The manifest of a run as it begins; ``describe_start`` is added to "starts" whenever it goes on."""
    return {
        "format": "bedside-training",
        "recipe": recipe,
        "seed": config.seed,
        "config": config.to_dict(),
        "initial": {"file": initial.name, "sha256": file_sha256(initial)} if initial else None,
        "store": {"sha256": store_sha256},
        "data": describe_data(sets, config),
        "starts": [],
    }


def describe_start(step: int, device: torch.device) -> dict[str, Any]:
    """One start of a run: when, from which step, with which command, versions and device."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "from_step": step,
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "versions": versions(),
        "platform": platform.platform(),
        "device": describe_device(device),
    }


def versions() -> dict[str, str]:
    """Versions of what the weights depend on."""
    return {
        "bedside": bedside.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }


def describe_device(device: torch.device) -> dict[str, Any]:
    """Kind, name and, of a processor, the threads in use."""
    if device.type == "cuda":
        return {"kind": "cuda", "name": torch.cuda.get_device_name(device), "cuda": torch.version.cuda}
    name = platform.processor() or platform.machine()
    return {"kind": device.type, "name": name, "cores": os.cpu_count(), "threads": torch.get_num_threads()}


def describe_data(sets: Sequence[SetSummary], config: TrainingConfig) -> list[dict[str, Any]]:
    """Every data set with its licence and size, and whether it was trained on or only followed."""
    return [{**asdict(s), "use": "validation" if s.name in config.held_out else "training"} for s in sets]


def create_card(manifest: Mapping[str, Any], config: TrainingConfig) -> WeightsCard:
    """The card of the weights that the run of ``manifest``, which holds its result, has made."""
    result = manifest["result"]
    return WeightsCard(
        name=config.model,
        version=f"{bedside.__version__}, step {result['step']}",
        sha256="",
        licence=model_card(config.model).licence,
        source=f"trained by: bedside train {manifest['recipe']}",
        data=tuple(manifest["data"]),
        training={
            "seed": config.seed,
            "steps": result["step"],
            "samples": count_samples(config, result["step"]),
            "seconds": round(result["seconds"], 1),
            "device": manifest["starts"][-1]["device"],
            "versions": manifest["starts"][-1]["versions"],
            "store_sha256": manifest["store"]["sha256"],
            "initial": manifest["initial"],
            "config": manifest["config"],
        },
        metrics={"held_out": result["held_out"]} if result["held_out"] else {},
    )
