"""DAFT as it is published: graphs of OpenVINO, two for each expert, and one prompt encoder for all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from bedside.core.errors import InputError, WeightsError
from bedside.runtime.openvino_parts import PublishedGraphs, named_constants, write_published_parts
from bedside.weights.card import WeightsCard, file_sha256
from bedside.weights.catalogue import weights_stem
from bedside.weights.models import model_card
from bedside.weights.store import WeightsFiles

ENCODER, DECODER, PROMPTS, POSITIONS = "_image_encoder.xml", "_mask_decoder.xml", "_prompt_encoder.xml", "encoding.npy"
BASELINE = "lite_medsam"
"""Stem of LiteMedSAM's graphs, which the submission used for ultrasound and for whatever it did not know."""
VARIANTS = {
    "general": "general",
    "CT": "ct",
    "3D": "3d",
    "XRay": "x-ray",
    "X-Ray": "x-ray",
    "US": "us",
    "Fundus": "fundus",
    "Endoscopy": "endoscopy",
    "Dermoscopy": "dermoscopy",
    "Microscopy": "microscopy",
    "OCT": "oct",
    "Mammography": "mammography",
}
"""Experts of the registry by the published graphs' stems."""


def holds_graphs(source: Path) -> bool:
    """Return whether a folder holds published graphs."""
    return source.is_dir() and any(source.glob(f"*{ENCODER}"))


def import_graphs(name: str, source: Path, folder: Path, *, variant: str = "", origin: str) -> WeightsFiles:
    """Bring in all experts of a folder, or one of them. LiteMedSAM's graphs beside them stand for the general network.

    Args:
        name: "daft".
        source: Folder with ``<expert>_image_encoder.xml``, ``<expert>_mask_decoder.xml``, one
            ``..._prompt_encoder.xml`` and ``positional_encoding.npy``.
        folder: Where the files go.
        variant: The one expert to bring in; "" for all.
        origin: Where they came from, for the cards.

    Returns:
        The files of the general network, or of the only expert.

    Raises:
        InputError: The model is another than DAFT.
        WeightsError: A part is missing or another graph.
    """
    if name != "daft":
        raise InputError(f"graphs of OpenVINO for '{name}'", expected="a checkpoint", got="graphs, as DAFT publishes")
    shared = [path for path in sorted(source.glob(f"*{PROMPTS}")) if path.name.startswith(BASELINE)] or sorted(
        source.glob(f"*{PROMPTS}")
    )
    positions = sorted(source.glob(f"*{POSITIONS}"))
    if not shared or not positions:
        missing = f"..._{PROMPTS.lstrip('_')}" if not shared else f"positional_{POSITIONS}"
        raise WeightsError(f"graphs of '{name}' in {source}", expected=missing, got="none")
    found = _experts(source)
    wanted = {variant: found[variant]} if variant in found else {} if variant else found
    if not wanted:
        raise WeightsError(f"graphs of '{name}'", expected=f"those of {variant}", got=", ".join(found) or "none")
    files = {}
    for expert, stem in wanted.items():
        own = [path for path in shared if path.name == f"{stem}{PROMPTS}"]
        graphs = PublishedGraphs(
            source / f"{stem}{ENCODER}", (own or shared)[0], source / f"{stem}{DECODER}", positions[0]
        )
        made = _card(name, expert, stem, graphs, origin)
        files[expert] = write_published_parts(graphs, folder, weights_stem(name, expert), made)
    return files.get("general") or next(iter(files.values()))


def mapped_constants(name: str, graphs: PublishedGraphs) -> dict[str, NDArray[Any]]:
    """Return the network's tensors out of published graphs, where they kept their names, as float32.

    Exporters keep the names of convolutions and embeddings, and lose those of matrices, which they transpose, and of
    normalisations, which they merge into convolutions: then there is no way back, and the graphs are run as they are.

    Args:
        name: Model in the registry.
        graphs: What was published.

    Raises:
        WeightsError: A tensor has lost its name or its shape.
    """
    from bedside.engines.sam.convert.checkpoints import network_skeleton

    found: dict[str, NDArray[Any]] = {}
    parts = (("image_encoder.", graphs.encoder), ("prompt_encoder.", graphs.prompts), ("mask_decoder.", graphs.decoder))
    for prefix, path in parts:
        held = named_constants(path).items()
        found |= {key if key.startswith(prefix) else prefix + key: value for key, value in held}
    needed = network_skeleton(name).state_dict()
    kept = {key: found[key] for key, value in needed.items() if key in found and found[key].shape == tuple(value.shape)}
    lost = [key for key in needed if key not in kept and not key.endswith("num_batches_tracked")]
    if lost:
        raise WeightsError(
            f"graphs of '{name}'",
            expected=f"the {len(needed)} tensors of its network by name",
            got=f"{len(lost)} without ({', '.join(lost[:3])}, ...)",
            fix="import the folder: the graphs are run as they are",
        )
    return kept


def _experts(source: Path) -> dict[str, str]:
    """Return stems of the published graphs by the registry's name of the expert."""
    stems = [path.name.removesuffix(ENCODER) for path in sorted(source.glob(f"*{ENCODER}"))]
    found = {VARIANTS[stem]: stem for stem in stems if stem in VARIANTS and (source / f"{stem}{DECODER}").is_file()}
    if BASELINE in stems and "general" not in found:
        found["general"] = BASELINE
    return found


def _card(name: str, expert: str, stem: str, graphs: PublishedGraphs, origin: str) -> WeightsCard:
    card = model_card(name)
    paths = (graphs.encoder, graphs.prompts, graphs.decoder)
    files = [path for graph in paths for path in (graph, graph.with_suffix(".bin"))]
    sums = {path.name: file_sha256(path) for path in files if path.is_file()}
    made = WeightsCard(
        name=name,
        version="1",
        sha256="",
        licence=card.licence,
        source=f"graphs {stem} of {card.source}, {origin}, joined",
        training={"checkpoints": sums, "layout": "graphs of OpenVINO", "variant": expert},
    )
    if stem != BASELINE:
        return made
    return replace(made, source=f"{made.source}; LiteMedSAM, which the submission used for what it did not know")
