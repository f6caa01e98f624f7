"""From trained weights of the SAM family to the files of inference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import bedside
from bedside.engines.sam.networks.mcp_medsam import CLIP_SIDE
from bedside.engines.sam.networks.rep_medsam import RepMedSAM
from bedside.engines.sam.training.features import PublishedTower, StandInTower
from bedside.engines.sam.training.networks import fit_positions, sam_network
from bedside.train.checkpoint import load_weights
from bedside.weights.card import WeightsCard
from bedside.weights.models import model_card
from bedside.weights.store import TOWER


@dataclass(frozen=True, eq=False)
class ContentFiles:
    """What goes with MCP-MedSAM beside its own weights.

    Attributes:
        text_features: (11, 512), of the names of the modalities.
        clip: Folder of the frozen CLIP, "" for the stand-in.
    """

    text_features: Tensor
    clip: str


def export_system(
    model: str,
    state: Mapping[str, Tensor],
    folder: Path,
    stem: str,
    manifest: Mapping[str, Any],
    content: ContentFiles | None = None,
) -> None:
    """Write the files of a network at its own size, whatever the size that it was trained at.

    Args:
        model: In the registry.
        state: Its weights.
        folder: Where the files go.
        stem: What they are called.
        manifest: Manifest of the run, with its result.
        content: What goes with MCP-MedSAM.
    """
    from bedside.engines.sam.convert.export import export_parts

    network = sam_network(model, model_card(model).grid)
    load_weights(network, fit_positions(state, network))
    if isinstance(network, RepMedSAM):
        network.eval().fuse()
    card = system_card(model, manifest)
    if content is None:
        export_parts(network.eval(), folder, card, stem=stem)
        return
    clip = PublishedTower(Path(content.clip)).clip if content.clip else None
    files = export_parts(network.eval(), folder, card, stem=stem, text_features=content.text_features, clip=clip)
    if clip is None:
        _write_stand_in(files.part_named(TOWER).graph)


def system_card(model: str, manifest: Mapping[str, Any]) -> WeightsCard:
    """Return the card of weights that a run has made."""
    result = manifest["result"]
    training = {
        "seed": manifest["seed"],
        "steps": result["step"],
        "samples": result["samples"],
        "seconds": round(result["seconds"], 1),
        "device": manifest["starts"][-1]["device"],
        "versions": manifest["starts"][-1]["versions"],
        "store_sha256": manifest["store"]["sha256"],
        "teacher": manifest.get("teacher"),
        "features": manifest.get("features"),
        "stages": manifest["stages"],
        "config": manifest["config"],
    }
    return WeightsCard(
        name=model,
        version=f"{bedside.__version__}, step {result['step']}",
        sha256="",
        licence=model_card(model).licence,
        source=f"trained by: bedside train {manifest['recipe']}; not the published weights",
        data=tuple(manifest["data"]),
        training=training,
        metrics={"held_out": result["held_out"]} if result["held_out"] else {},
    )


def _write_stand_in(path: Path) -> None:
    """The graph of the stand-in: crops (1, 3, CLIP_SIDE, CLIP_SIDE) to image_features (1, 512)."""
    import warnings

    with warnings.catch_warnings(), torch.no_grad():
        # As in engines.sam.convert.export.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            StandInTower().eval(),
            (torch.zeros(1, 3, CLIP_SIDE, CLIP_SIDE),),
            path,
            dynamo=False,
            input_names=["crops"],
            output_names=["image_features"],
            opset_version=17,
        )
