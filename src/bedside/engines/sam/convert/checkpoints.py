"""Published checkpoints of the SAM family: whatever they are wrapped in, the tensors of one network. Needs torch.

Trainings leave their networks behind in many ways: bare, under "model" or "state_dict" beside the optimiser, with
prefixes for parallel training or for Lightning's module, or only the encoder that was distilled.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bedside.core.errors import WeightsError
from bedside.weights.card import file_sha256
from bedside.weights.foreign import STATE, NamesCodeError, read_checkpoint, read_lightning_state
from bedside.weights.models import build_model, model_cards

SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".safetensors")
WRAPPERS = ("state_dict", "model", "model_state_dict", "network")
"""Keys under which trainings keep a network's tensors."""
PREFIXES = ("module.", "_orig_mod.", "model.", "network.")
"""What parallel, compiled and Lightning's training put before every name."""
STUDENT, ENCODER = "student_encoder.", "image_encoder."
HEADS = ("prompt_encoder.", "mask_decoder.")
LISTED = 3


@dataclass(frozen=True, eq=False)
class SamCheckpoint:
    """The tensors of a whole network, and where each part came from.

    Attributes:
        tensors: By the network's own names.
        fused: Whether the image encoder is that of a network whose branches were fused.
        files: Name and sha256 of every file that was used.
        layout: How the tensors were wrapped, for the card.
    """

    tensors: Mapping[str, Tensor]
    fused: bool
    files: Mapping[str, str]
    layout: str


def read_sam_checkpoint(source: Path, name: str) -> SamCheckpoint:
    """Read published weights of the model ``name`` and check all of them against its network.

    Args:
        source: A checkpoint, or a folder with one; where it holds several, the image encoder of one may be completed by
            prompt encoder and mask decoder of another.
        name: Model in the registry, of the family "sam".

    Raises:
        WeightsError: No file is there, one is damaged or would execute code, or they are of another network.
    """
    paths = checkpoint_files(source, name)
    read = [(path, *read_tensors(path)) for path in paths]
    tensors, layout, used = _joined(read, name)
    fused = _is_fused(tensors, name)
    network = network_skeleton(name, fused=fused)
    complete = fit_tensors(tensors, network, name, " and ".join(path.name for path in used))
    return SamCheckpoint(complete, fused, {path.name: file_sha256(path) for path in used}, layout)


def network_skeleton(name: str, *, fused: bool = False) -> Any:
    """Return the network called ``name`` on torch's meta device, in evaluation mode."""
    with torch.device("meta"):
        network: Any = build_model(name)
        if fused:
            network.fuse()
    return network.eval()


def checkpoint_files(source: Path, name: str) -> list[Path]:
    """Return the checkpoint itself, or all those in a folder, sorted by name.

    Raises:
        WeightsError: There is none.
    """
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise WeightsError(f"weights of '{name}'", expected="a file or folder", got=f"'{source}'")
    found = sorted(path for path in source.iterdir() if path.suffix in SUFFIXES and path.is_file())
    if not found:
        raise WeightsError(
            f"weights of '{name}'", expected=f"a file that ends in {', '.join(SUFFIXES)}", got=f"none in {source}"
        )
    return found


def read_tensors(path: Path) -> tuple[dict[str, Tensor], str]:
    """Return the tensors of a file by the names of the family's networks, and how they were wrapped.

    Raises:
        WeightsError: The file is damaged, would execute code, or holds no table of tensors.
    """
    if path.suffix == ".safetensors":
        return _unprefixed(_read_safetensors(path), [])
    try:
        content = read_checkpoint(path)
    except NamesCodeError:
        # A Lightning module's constructor arguments lie beside its tensors, optimisers and networks among them.
        state = read_lightning_state(path)
        if not state:
            raise
        return _unprefixed(state, [STATE])
    layout = []
    table: Any = content
    for _ in WRAPPERS:
        if _is_table(table):
            break
        inner = next((key for key in WRAPPERS if isinstance(table, dict) and isinstance(table.get(key), dict)), None)
        if inner is None:
            break
        layout.append(inner)
        table = table[inner]
    if not _is_table(table):
        held = ", ".join(list(content)[:LISTED]) or "nothing"
        raise WeightsError(
            f"checkpoint {path.name}", expected=f"tensors, bare or under {' or '.join(WRAPPERS)}", got=held
        )
    return _unprefixed(table, layout)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"checkpoint {path.name}", expected="a safetensors file", got=str(error)[:160]) from error
    return tensors


def _is_table(value: object) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())
    )


def _unprefixed(table: Mapping[str, Tensor], layout: list[str]) -> tuple[dict[str, Tensor], str]:
    found = dict(table)
    stripped = True
    while stripped:
        stripped = False
        for prefix in PREFIXES:
            inner = {key.removeprefix(prefix): value for key, value in found.items() if key.startswith(prefix)}
            # Beside a network that is prefixed there may be losses and metrics with parameters of their own.
            if inner:
                found, stripped = inner, True
                layout.append(prefix)
    student = {ENCODER + k.removeprefix(STUDENT): v for k, v in found.items() if k.startswith(STUDENT)}
    if student:
        # A distillation holds the teacher too.
        found = student
        layout.append(STUDENT)
    return found, " > ".join(layout) or "plain"


def _joined(
    read: Sequence[tuple[Path, dict[str, Tensor], str]], name: str
) -> tuple[dict[str, Tensor], str, list[Path]]:
    """Return one network's tensors from one file, or its image encoder from one and the rest from another."""
    wholes = [entry for entry in read if _has(entry[1], ENCODER) and all(_has(entry[1], head) for head in HEADS)]
    encoders = _encoder_names(name)
    alone = [
        (path, {ENCODER + k: v for k, v in tensors.items()} if encoders >= tensors.keys() else tensors, layout)
        for path, tensors, layout in read
        if encoders >= tensors.keys() or (_has(tensors, ENCODER) and not any(_has(tensors, h) for h in HEADS))
    ]
    if not alone:
        if len(wholes) > 1:
            names = ", ".join(path.name for path, _, _ in wholes)
            raise WeightsError(f"weights of '{name}'", expected="one checkpoint", got=names, fix="name one of them")
        path, tensors, layout = (wholes or read)[0]
        return tensors, layout, [path]
    path, encoder, layout = alone[0]
    heads = [entry for entry in read if all(_has(entry[1], head) for head in HEADS)]
    if not heads:
        raise WeightsError(
            f"checkpoint {path.name} holds an image encoder only",
            expected="prompt encoder and mask decoder too",
            fix="put it into a folder with a checkpoint that has them (such as medsam_vit_b.pth) and import the folder",
        )
    donor, rest, donor_layout = heads[0]
    joined = {**encoder, **{k: v for k, v in rest.items() if k.startswith(HEADS)}}
    return joined, f"{layout}; heads of {donor.name} ({donor_layout})", [path, donor]


def _has(names: Collection[str], prefix: str) -> bool:
    return any(key.startswith(prefix) for key in names)


def _encoder_names(name: str) -> set[str]:
    names: set[str] = set()
    for fused in (False, True) if _can_fuse(name) else (False,):
        state = network_skeleton(name, fused=fused).state_dict()
        names |= {key.removeprefix(ENCODER) for key in state if key.startswith(ENCODER)}
    return names


def _can_fuse(name: str) -> bool:
    return hasattr(network_skeleton(name), "fuse")


def _is_fused(tensors: Mapping[str, Tensor], name: str) -> bool:
    """Return whether a checkpoint is of a network whose branches were fused before it was saved."""
    if not _can_fuse(name):
        return False
    whole, fused = (network_skeleton(name, fused=f).state_dict().keys() for f in (False, True))
    return len(tensors.keys() ^ fused) < len(tensors.keys() ^ whole)


def fit_tensors(tensors: Mapping[str, Tensor], network: nn.Module, name: str, file: str) -> dict[str, Tensor]:
    """Return the tensors, if they are exactly those of ``network``, as float32.

    Args:
        tensors: By name.
        network: Torch's meta device will do.
        name: Model in the registry, for messages.
        file: What to call the file in messages.

    Raises:
        WeightsError: A name is missing or unknown, or a tensor has another shape or holds numbers that are not finite.
    """
    expected = network.state_dict()
    missing = [k for k in expected if k not in tensors and not k.endswith("num_batches_tracked")]
    unknown = [k for k in tensors if k not in expected]
    other = [
        f"{k} {tuple(v.shape)} for {tuple(expected[k].shape)}"
        for k, v in tensors.items()
        if k in expected and v.shape != expected[k].shape
    ]
    if missing or unknown or other:
        parts = [(missing, "missing"), (unknown, "unknown"), (other, "of another shape")]
        difference = "; ".join(f"{len(keys)} {what} ({_some(keys)})" for keys, what in parts if keys)
        fitting = _fitting(tensors)
        raise WeightsError(
            f"checkpoint {file} is of another network",
            expected=f"the {len(expected)} tensors of '{name}'",
            got=f"{len(tensors)}: {difference}",
            fix=f"it fits {' and '.join(fitting)}" if fitting else None,
        )
    complete = {}
    for key, value in expected.items():
        given = tensors.get(key)
        if given is None:
            complete[key] = torch.zeros(value.shape, dtype=value.dtype)
            continue
        # Masks of attention hold minus infinity.
        if given.is_floating_point() and not key.endswith("_mask") and not bool(torch.isfinite(given).all()):
            raise WeightsError(f"checkpoint {file}: tensor {key}", expected="finite numbers", got="others")
        complete[key] = given.to(value.dtype)
    return complete


def _some(keys: Sequence[str]) -> str:
    return ", ".join(keys[:LISTED]) + (", ..." if len(keys) > LISTED else "")


def _fitting(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return models of the family whose tensors these are by name and shape."""
    shapes = {key: tuple(value.shape) for key, value in tensors.items() if not key.endswith("num_batches_tracked")}
    found = []
    for card in model_cards():
        if card.family != "sam":
            continue
        state = network_skeleton(card.name).state_dict()
        if shapes == {k: tuple(v.shape) for k, v in state.items() if not k.endswith("num_batches_tracked")}:
            found.append(f"'{card.name}'")
    return found
