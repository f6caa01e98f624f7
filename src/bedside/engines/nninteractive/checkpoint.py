"""The folder in which nnInteractive's weights are published: what it holds, and whether it is what it says.

The folder holds ``plans.json`` and ``dataset.json`` as nnU-Net writes them, the prompts' settings as
``inference_info.json`` or ``inference_session_class.json``, perhaps a ``LICENSE`` whose first line names the licence,
and the weights as ``fold_<n>/checkpoint_final.pth``. Needs torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bedside.core.errors import WeightsError
from bedside.engines.nninteractive.blocks.residual_encoder_unet import aliases
from bedside.engines.nninteractive.network import NAME, NNInteractive
from bedside.engines.nninteractive.settings import INFO_FILES, InteractionSettings
from bedside.weights.foreign import read_checkpoint
from bedside.weights.models import model_card

CHECKPOINT = "checkpoint_final.pth"
TRAINER = "nnInteractiveTrainer"
WRAPPERS = ("module.", "_orig_mod.")
"""What parallel and compiled training put before every name."""


@dataclass(frozen=True, eq=False)
class PublishedFolder:
    """The content of a folder that was found to be in order.

    Attributes:
        tensors: Every tensor of the network once, by its first name.
        settings: How the network wants prompts.
        metadata: The JSON that the settings were read from.
        configuration: nnU-Net's name of the configuration that was trained.
        trainer: Class that trained it.
        plans: nnU-Net's names of dataset and plans.
        patch: Voxels along each side of the patches that were trained on.
        licence: SPDX identifier, of the folder's ``LICENSE`` or else of the public weights.
        checkpoint: The file of the weights.
    """

    tensors: Mapping[str, Tensor]
    settings: InteractionSettings
    metadata: Any
    configuration: str
    trainer: str
    plans: str
    patch: int
    licence: str
    checkpoint: Path


def read_published_folder(folder: Path, network: NNInteractive) -> PublishedFolder:
    """Read a folder of weights and check that all of it belongs to ``network``.

    Args:
        folder: The folder that holds ``plans.json``.
        network: The network that the weights are for; torch's meta device will do.

    Raises:
        WeightsError: A file is missing, damaged, or not what it says.
    """
    if not folder.is_dir():
        raise WeightsError(f"weights of '{NAME}'", expected="a folder", got=f"'{folder}'")
    plans = _json_object(folder / "plans.json")
    _check_dataset(_json_object(folder / "dataset.json"))
    metadata = _metadata(folder)
    settings = InteractionSettings.from_metadata(metadata)
    if settings.channels + 1 != network.channels_in:
        raise WeightsError("checkpoint's channels", expected=network.channels_in, got=settings.channels + 1)
    path = _checkpoint_path(folder)
    content = read_checkpoint(path)
    trainer, configuration = _training(content, path.name)
    stated = _configuration(plans, configuration)
    _check_plans(stated, network)
    names = [str(plans.get(key, "?"))[:80] for key in ("dataset_name", "plans_name")]
    return PublishedFolder(
        tensors=fit_tensors(content.get("network_weights"), network, path.name),
        settings=settings,
        metadata=metadata,
        configuration=configuration,
        trainer=trainer,
        plans=" / ".join(names),
        patch=_patch(stated),
        licence=_licence(folder / "LICENSE"),
        checkpoint=path,
    )


def fit_tensors(weights: object, network: NNInteractive, file: str) -> dict[str, Tensor]:
    """Return every tensor of ``network`` from a checkpoint's weights, once, under its first name.

    Args:
        weights: Tensors by name, with all names or the first of each.
        network: The network that they are for.
        file: What to call the file in messages.

    Raises:
        WeightsError: A name is missing or unknown, a tensor has another shape, holds numbers that are not finite, or
            differs from what another of its names holds.
    """
    if not isinstance(weights, dict) or not all(isinstance(v, Tensor) for v in weights.values()):
        raise WeightsError(f"checkpoint {file}", expected="tensors under 'network_weights'", got="none")
    found: dict[str, Tensor] = {_unwrapped(str(name)): value for name, value in weights.items()}
    expected = network.state_dict()
    second = aliases(network)
    missing = [name for name in expected if name not in second and name not in found]
    unknown = [name for name in found if name not in expected]
    if missing or unknown:
        kind, names = ("no tensor", missing) if missing else ("an unknown tensor", unknown)
        raise WeightsError(
            f"checkpoint {file} is of another network",
            expected=f"the {len(expected)} tensors of '{NAME}'",
            got=f"{len(found)}, {kind} '{names[0]}'",
        )
    for name, value in found.items():
        shape = tuple(expected[name].shape)
        if tuple(value.shape) != shape or not value.dtype.is_floating_point:
            raise WeightsError(
                f"checkpoint {file}: tensor {name}", expected=f"{shape}", got=f"{tuple(value.shape)} {value.dtype}"
            )
    _check_values(found, second, file)
    return {name: value for name, value in found.items() if name not in second}


def _unwrapped(name: str) -> str:
    for prefix in WRAPPERS:
        name = name.removeprefix(prefix)
    return name


def _check_values(found: Mapping[str, Tensor], second: Mapping[str, str], file: str) -> None:
    for name, value in found.items():
        if name not in second:
            if not bool(torch.isfinite(value).all()):
                raise WeightsError(f"checkpoint {file}: tensor {name}", expected="finite numbers", got="others")
            continue
        first = found[second[name]]
        shared = first.data_ptr() == value.data_ptr() and first.stride() == value.stride()
        if not shared and not torch.equal(first, value):
            raise WeightsError(
                f"checkpoint {file} contradicts itself", expected=f"{name} equal to {second[name]}", got="other numbers"
            )


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsError(
            f"weights of '{NAME}'",
            expected=f"{path.name} in {path.parent}",
            got="none",
            fix="name the folder that holds plans.json, dataset.json and fold_0",
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        got = f"{type(error).__name__}: {str(error)[:120]}"
        raise WeightsError(f"{path.name}", expected="a JSON file", got=got) from error


def _json_object(path: Path) -> dict[str, Any]:
    content = _json(path)
    if not isinstance(content, dict):
        raise WeightsError(path.name, expected="a JSON object", got=type(content).__name__)
    return content


def _metadata(folder: Path) -> Any:
    for name in INFO_FILES:
        if (folder / name).is_file():
            return _json(folder / name)
    raise WeightsError(f"weights of '{NAME}'", expected=f"{' or '.join(INFO_FILES)} in {folder}", got="neither")


def _check_dataset(dataset: Mapping[str, Any]) -> None:
    channels = dataset.get("channel_names", dataset.get("modality"))
    if not isinstance(dataset.get("labels"), dict) and channels is None:
        raise WeightsError("dataset.json", expected="nnU-Net's labels and channel_names", got="neither")
    if channels is not None and (not isinstance(channels, dict) or len(channels) != 1):
        raise WeightsError("dataset.json", expected="one image channel", got=str(channels)[:80])


def _checkpoint_path(folder: Path) -> Path:
    found = sorted(path for path in folder.glob("fold_*") if path.is_dir())
    if len(found) != 1 or not (found[0] / CHECKPOINT).is_file():
        names = ", ".join(path.name for path in found[:5]) or "no folder fold_0"
        got = f"{names} without that file" if len(found) == 1 else names
        raise WeightsError(f"weights of '{NAME}'", expected=f"one folder fold_* with {CHECKPOINT} in {folder}", got=got)
    return found[0] / CHECKPOINT


def _training(content: Mapping[str, Any], file: str) -> tuple[str, str]:
    """Return trainer and configuration that a checkpoint names."""
    trainer, arguments = content.get("trainer_name"), content.get("init_args")
    configuration = arguments.get("configuration") if isinstance(arguments, dict) else None
    if not isinstance(trainer, str) or not trainer.startswith(TRAINER):
        raise WeightsError(f"checkpoint {file}", expected=f"one trained by {TRAINER}", got=repr(trainer)[:80])
    if not isinstance(configuration, str):
        raise WeightsError(
            f"checkpoint {file}", expected="init_args with a configuration", got=repr(configuration)[:80]
        )
    return trainer[:80], configuration[:80]


def _configuration(plans: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a configuration of the plans with what it inherits from others."""
    configurations = plans.get("configurations")
    merged: dict[str, Any] = {}
    seen: list[object] = []
    current: object = name
    while current is not None:
        part = configurations.get(current) if isinstance(configurations, dict) and isinstance(current, str) else None
        if not isinstance(part, dict) or current in seen:
            raise WeightsError("plans.json", expected=f"the configuration '{name}'", got=f"no usable '{current}'"[:80])
        seen.append(current)
        merged = {**part, **merged}
        current = part.get("inherits_from")
    return merged


def _check_plans(configuration: Mapping[str, Any], network: NNInteractive) -> None:
    """Compare what plans say of the network with the network; what they leave out the tensors' shapes show."""
    stages = len(network.widths)
    architecture = configuration.get("architecture")
    stated: dict[str, Any] = {}
    if isinstance(architecture, dict):
        arguments = architecture.get("arch_kwargs")
        stated["network"] = str(architecture.get("network_class_name", "")).rpartition(".")[2]
        if isinstance(arguments, dict):
            for key in ("n_stages", "features_per_stage", "n_blocks_per_stage", "strides", "kernel_sizes"):
                stated[key] = arguments.get(key)
    else:
        # As nnU-Net wrote plans before version 2.4.
        stated["network"] = configuration.get("UNet_class_name")
        stated["n_blocks_per_stage"] = configuration.get("n_conv_per_stage_encoder")
        stated["strides"] = configuration.get("pool_op_kernel_sizes")
        stated["kernel_sizes"] = configuration.get("conv_kernel_sizes")
    right = {
        "network": "ResidualEncoderUNet",
        "n_stages": stages,
        "features_per_stage": list(network.widths),
        "n_blocks_per_stage": list(network.depths),
        "strides": [[1] * 3] + [[2] * 3] * (stages - 1),
        "kernel_sizes": [[3] * 3] * stages,
    }
    for key, value in stated.items():
        if value is not None and value != right[key]:
            raise WeightsError(f"plans.json: {key}", expected=right[key], got=str(value)[:120])


def _patch(configuration: Mapping[str, Any]) -> int:
    """Return side of the cube that plans name; that of the public weights where they name none."""
    grid = model_card(NAME).grid
    size = configuration.get("patch_size", [grid] * 3)
    # Five halvings and an instance normalisation that needs more than one voxel at the end.
    sides = [n for n in size if isinstance(n, int) and n >= 64 and n % 32 == 0] if isinstance(size, list) else []
    if len(sides) != 3 or len(size) != 3 or len(set(sides)) != 1:
        expected = f"three equal sides, multiples of 32 from 64, as [{grid}, {grid}, {grid}]"
        raise WeightsError("plans.json: patch_size", expected=expected, got=str(size)[:120])
    return sides[0]


def _licence(path: Path) -> str:
    """Return the identifier on the first line of a licence file, else that of the public weights."""
    public = model_card(NAME).licence
    try:
        with path.open(encoding="utf-8") as file:
            first = file.readline(200).strip()
    except (OSError, ValueError):
        return public
    identifier = re.sub(r"\s+", "-", first)
    # A sentence in the place of an identifier says nothing that could be relied on.
    return identifier if re.fullmatch(r"[A-Za-z][A-Za-z0-9.+-]{1,39}", identifier) and first.count(" ") <= 2 else public
