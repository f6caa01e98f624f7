"""From published checkpoints of the SAM family to the files that inference needs. Needs torch and onnx."""

from __future__ import annotations

from pathlib import Path

from bedside.core.errors import InputError
from bedside.runtime.export import StoredPrecision
from bedside.weights.card import WeightsCard
from bedside.weights.catalogue import weights_stem
from bedside.weights.models import model_card
from bedside.weights.store import WeightsFiles

WITH_CLIP = ("mcp-medsam",)
"""Models whose prompts need a frozen CLIP."""


def import_sam(
    name: str,
    source: Path,
    folder: Path,
    *,
    variant: str = "",
    precision: StoredPrecision = "float16",
    origin: str = "fetched by hand",
    clip: Path | None = None,
) -> WeightsFiles:
    """Convert a published checkpoint to a file of tensors, two graphs and a card; all or none of them are left.

    Args:
        name: Model in the registry.
        source: Checkpoint, or a folder of them, see ``engines.sam.convert.checkpoints``; of DAFT also the folder of its
            graphs, see ``engines.sam.convert.openvino_graphs``.
        folder: Where the files go.
        variant: Which set of the model's weights they are; "" for the first.
        precision: What large tensors are stored as.
        origin: Where the checkpoint came from, for the card.
        clip: Folder of the frozen CLIP, for a model whose prompts need it.

    Raises:
        InputError: The model is of another family, has no such variant, or its CLIP is missing or not wanted.
        WeightsError: The checkpoint is not what it says.
    """
    card = model_card(name)
    if card.family != "sam":
        raise InputError(f"model '{name}'", expected="one of the family sam", got=f"family {card.family}")
    if variant and variant not in card.variants:
        raise InputError(
            f"variant of '{name}'",
            expected=f"one of {', '.join(card.variants)}" if card.variants else "none",
            got=f"'{variant}'",
        )
    if (clip is not None) != (name in WITH_CLIP):
        raise InputError(
            f"import of '{name}'",
            expected="the folder of PubMedCLIP" if name in WITH_CLIP else "no CLIP: it needs none",
            got="none" if clip is None else f"'{clip}'",
            fix="name it by --clip DIR" if clip is None else None,
        )
    from bedside.engines.sam.convert.openvino_graphs import holds_graphs, import_graphs

    if holds_graphs(source):
        return import_graphs(name, source, folder, variant=variant, origin=origin)
    from bedside.engines.sam.convert.checkpoints import network_skeleton, read_sam_checkpoint
    from bedside.engines.sam.convert.export import export_parts

    checkpoint = read_sam_checkpoint(source, name)
    network = network_skeleton(name, fused=checkpoint.fused)
    network.load_state_dict({k: v.contiguous() for k, v in checkpoint.tensors.items()}, assign=True)
    if hasattr(network, "fuse") and not checkpoint.fused:
        network.fuse()
    files = " and ".join(checkpoint.files)
    written = WeightsCard(
        name=name,
        version="1",
        sha256="",
        licence=card.licence,
        source=f"{files} of {card.source}, {origin}, converted",
        training={
            "checkpoints": dict(checkpoint.files),
            "layout": checkpoint.layout,
            "variant": variant or (card.variants[0] if card.variants else None),
        },
    )
    stem = weights_stem(name, variant)
    if clip is None:
        return export_parts(network, folder, written, stem=stem, precision=precision)
    from bedside.core.modality import MODALITIES
    from bedside.engines.sam.convert.clip import Tokens, read_clip

    tower, tokens = read_clip(clip), Tokens.in_folder(clip)
    texts = tower.token_features([tokens(f"{modality} Image") for modality in MODALITIES])
    return export_parts(
        network, folder, written, stem=stem, precision=precision, text_features=texts.detach(), clip=tower
    )
