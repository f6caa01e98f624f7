"""A folder of published weights is taken where all of it fits, and rejected in one line where something does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bedside.core.errors import WeightsError
from bedside.engines.nninteractive.blocks.residual_encoder_unet import aliases
from bedside.engines.nninteractive.checkpoint import fit_tensors, read_published_folder
from bedside.engines.nninteractive.network import DEPTHS, WIDTHS, NNInteractive
from bedside.engines.nninteractive.settings import InteractionSettings

MakeFolder = Callable[..., Path]
SMALL = ((4, 8, 8, 12, 12, 16), (1, 2, 1, 1, 1, 2))
KEY = "encoder.stages.1.blocks.0.conv1.conv.weight"


@pytest.fixture
def network() -> NNInteractive:
    with torch.device("meta"):
        return NNInteractive(*SMALL)


@pytest.fixture
def state() -> dict[str, Tensor]:
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        return dict(NNInteractive(*SMALL).state_dict())


def change(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_a_folder_in_order(nninteractive_folder: MakeFolder, network: NNInteractive) -> None:
    folder = nninteractive_folder()
    found = read_published_folder(folder, network)
    second = aliases(network)
    assert found.tensors.keys() == network.state_dict().keys() - second.keys()
    assert found.settings == InteractionSettings()
    assert found.metadata["point_radius"] == 4
    assert found.configuration == "3d_fullres_ps192_bs24"
    assert found.trainer == "nnInteractiveTrainer_stub"
    assert found.plans == "Dataset225_nnInteractiveV2 / nnUNetResEncUNetLPlans_noResampling"
    assert found.licence == "CC-BY-NC-SA-4.0"
    assert found.checkpoint == folder / "fold_0" / "checkpoint_final.pth"


def test_the_newer_settings_win_and_a_text_is_understood(
    nninteractive_folder: MakeFolder, network: NNInteractive
) -> None:
    folder = nninteractive_folder()
    (folder / "inference_session_class.json").write_text('"nnInteractiveInferenceSession"')
    assert read_published_folder(folder, network).settings.decay == 0.9
    (folder / "inference_info.json").write_text(json.dumps({"interaction_decay": 0.95}))
    assert read_published_folder(folder, network).settings.decay == 0.95


def test_a_checkpoint_of_all_folds(nninteractive_folder: MakeFolder, network: NNInteractive) -> None:
    folder = nninteractive_folder()
    (folder / "fold_0").rename(folder / "fold_all")
    assert read_published_folder(folder, network).checkpoint.parent.name == "fold_all"
    (folder / "fold_1").mkdir()
    with pytest.raises(WeightsError, match=r"one folder fold_\*.*got fold_1, fold_all"):
        read_published_folder(folder, network)


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("CC-BY-NC-SA-4.0\n\nthe text", "CC-BY-NC-SA-4.0"),
        ("CC BY-NC-SA 4.0\n", "CC-BY-NC-SA-4.0"),
        ("Apache-2.0\n", "Apache-2.0"),
        ("These weights may be used by anyone for anything\n", "CC-BY-NC-SA-4.0"),
        ("", "CC-BY-NC-SA-4.0"),
    ],
)
def test_the_licence_is_that_of_its_file(
    text: str, licence: str, nninteractive_folder: MakeFolder, network: NNInteractive
) -> None:
    folder = nninteractive_folder()
    (folder / "LICENSE").write_text(text)
    assert read_published_folder(folder, network).licence == licence


@pytest.mark.parametrize("name", ["plans.json", "dataset.json", "inference_session_class.json"])
def test_a_missing_file_is_named(name: str, nninteractive_folder: MakeFolder, network: NNInteractive) -> None:
    folder = nninteractive_folder()
    (folder / name).unlink()
    with pytest.raises(WeightsError, match=name.replace(".", r"\.")):
        read_published_folder(folder, network)


@pytest.mark.parametrize("name", ["plans.json", "dataset.json", "inference_session_class.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"3"])
def test_a_file_that_is_no_json_object_is_rejected(
    name: str, content: bytes, nninteractive_folder: MakeFolder, network: NNInteractive
) -> None:
    folder = nninteractive_folder()
    (folder / name).write_bytes(content)
    with pytest.raises(WeightsError) as error:
        read_published_folder(folder, network)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"configurations": None}, "the configuration '3d_fullres_ps192_bs24'"),
        ({"configurations": {"2d": {}}}, "the configuration '3d_fullres_ps192_bs24'"),
        ({"configurations": {"3d_fullres_ps192_bs24": {"inherits_from": "3d_fullres_ps192_bs24"}}}, "no usable"),
        ({"configurations": {"3d_fullres_ps192_bs24": {"inherits_from": ["x"]}}}, "no usable"),
        ({"configurations": {"3d_fullres_ps192_bs24": {"patch_size": [100] * 3}}}, r"patch_size: expected three equal"),
        ({"configurations": {"3d_fullres_ps192_bs24": {"patch_size": [96, 96, 128]}}}, r"patch_size.*\[96, 96, 128\]"),
        ({"configurations": {"3d_fullres_ps192_bs24": {"patch_size": [192, 192]}}}, "patch_size"),
        ({"configurations": {"3d_fullres_ps192_bs24": {"patch_size": "192"}}}, "patch_size"),
        ({"configurations": {"3d_fullres_ps192_bs24": {"patch_size": None}}}, "patch_size"),
        ({"configurations": {"3d_fullres_ps192_bs24": {"UNet_class_name": "PlainConvUNet"}}}, "ResidualEncoderUNet"),
        (
            {"configurations": {"3d_fullres_ps192_bs24": {"architecture": {"network_class_name": "a.PlainConvUNet"}}}},
            "network: expected ResidualEncoderUNet, got PlainConvUNet",
        ),
        (
            {
                "configurations": {
                    "3d_fullres_ps192_bs24": {
                        "architecture": {
                            "network_class_name": "a.ResidualEncoderUNet",
                            "arch_kwargs": {"strides": [[1, 1, 1], [1, 2, 2]]},
                        }
                    }
                }
            },
            "strides",
        ),
    ],
)
def test_plans_of_another_network_are_rejected(
    fields: dict[str, Any], message: str, nninteractive_folder: MakeFolder, network: NNInteractive
) -> None:
    folder = nninteractive_folder()
    change(folder / "plans.json", **fields)
    with pytest.raises(WeightsError, match=message):
        read_published_folder(folder, network)


def test_the_patch_is_that_of_the_plans(nninteractive_folder: MakeFolder, network: NNInteractive) -> None:
    folder = nninteractive_folder()
    assert read_published_folder(folder, network).patch == 192
    change(folder / "plans.json", configurations={"3d_fullres_ps192_bs24": {"patch_size": [64] * 3}})
    assert read_published_folder(folder, network).patch == 64
    change(folder / "plans.json", configurations={"3d_fullres_ps192_bs24": {}})
    assert read_published_folder(folder, network).patch == 192


def test_plans_of_older_versions_are_understood(nninteractive_folder: MakeFolder, network: NNInteractive) -> None:
    folder = nninteractive_folder()
    old = {
        "patch_size": [192] * 3,
        "UNet_class_name": "ResidualEncoderUNet",
        "n_conv_per_stage_encoder": list(SMALL[1]),
        "pool_op_kernel_sizes": [[1] * 3] + [[2] * 3] * 5,
        "conv_kernel_sizes": [[3] * 3] * 6,
    }
    change(folder / "plans.json", configurations={"3d_fullres_ps192_bs24": old})
    read_published_folder(folder, network)
    old["n_conv_per_stage_encoder"] = [1] * 6
    change(folder / "plans.json", configurations={"3d_fullres_ps192_bs24": old})
    with pytest.raises(WeightsError, match="n_blocks_per_stage"):
        read_published_folder(folder, network)


@pytest.mark.parametrize("channels", [{"0": "CT", "1": "PET"}, {}, ["image"]])
def test_a_data_set_of_several_channels_is_rejected(
    channels: Any, nninteractive_folder: MakeFolder, network: NNInteractive
) -> None:
    folder = nninteractive_folder()
    change(folder / "dataset.json", channel_names=channels)
    with pytest.raises(WeightsError, match=r"dataset\.json: expected one image channel"):
        read_published_folder(folder, network)


def test_settings_for_other_channels_are_rejected(nninteractive_folder: MakeFolder, network: NNInteractive) -> None:
    folder = nninteractive_folder()
    change(folder / "inference_session_class.json", interaction_channels=9)
    with pytest.raises(WeightsError, match="channels: expected 8, got 11"):
        read_published_folder(folder, network)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trainer_name": "nnUNetTrainer"}, "trained by nnInteractiveTrainer, got 'nnUNetTrainer'"),
        ({"trainer_name": None}, "trained by nnInteractiveTrainer"),
        ({"init_args": None}, "init_args with a configuration"),
        ({"init_args": {"configuration": 3}}, "init_args with a configuration"),
        ({"init_args": {"configuration": "2d"}}, "the configuration '2d'"),
        ({"network_weights": None}, "tensors under 'network_weights'"),
        ({"network_weights": {"a": 1}}, "tensors under 'network_weights'"),
        ({"network_weights": {}}, "no tensor 'encoder.stem"),
    ],
)
def test_a_checkpoint_of_something_else_is_rejected(
    changes: dict[str, Any], message: str, nninteractive_folder: MakeFolder, network: NNInteractive
) -> None:
    with pytest.raises(WeightsError, match=message):
        read_published_folder(nninteractive_folder(**changes), network)


def test_a_missing_folder_is_named(tmp_path: Path, network: NNInteractive) -> None:
    with pytest.raises(WeightsError, match="expected a folder"):
        read_published_folder(tmp_path / "none", network)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_tensors_fit_under_all_their_names_and_what_wraps_them(
    prefix: str, state: dict[str, Tensor], network: NNInteractive
) -> None:
    found = fit_tensors({prefix + name: value for name, value in state.items()}, network, "file")
    assert len(found) == len(state) - len(aliases(network))
    assert all(torch.equal(value, state[name]) for name, value in found.items())


def test_an_unknown_tensor_is_rejected(state: dict[str, Tensor], network: NNInteractive) -> None:
    state["encoder.stem.extra"] = torch.ones(2)
    with pytest.raises(WeightsError, match=r"of another network.*an unknown tensor 'encoder\.stem\.extra'"):
        fit_tensors(state, network, "file")


@pytest.mark.parametrize(
    "value", [torch.ones(8, 4, 3, 3, 1), torch.ones(8, 4, 3, 3, 3, dtype=torch.int64), torch.ones(1).expand(2**40)]
)
def test_another_shape_or_kind_is_rejected(value: Tensor, state: dict[str, Tensor], network: NNInteractive) -> None:
    state[KEY] = value
    with pytest.raises(WeightsError, match=rf"tensor {KEY}: expected \(8, 4, 3, 3, 3\)"):
        fit_tensors(state, network, "file")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_rejected(
    number: float, state: dict[str, Tensor], network: NNInteractive
) -> None:
    state[KEY].view(-1)[3] = number
    with pytest.raises(WeightsError, match="expected finite numbers"):
        fit_tensors(state, network, "file")


def test_names_of_one_tensor_that_hold_different_numbers_are_rejected(
    state: dict[str, Tensor], network: NNInteractive
) -> None:
    alias = f"decoder.{KEY}"
    assert aliases(network)[alias] == KEY
    state[alias] = state[alias].clone()
    fit_tensors(state, network, "file")
    state[alias].view(-1)[0] += 1
    with pytest.raises(WeightsError, match="contradicts itself"):
        fit_tensors(state, network, "file")


@pytest.mark.slow
def test_a_folder_of_full_size(nninteractive_folder: MakeFolder) -> None:
    folder = nninteractive_folder(WIDTHS, DEPTHS)
    size = (folder / "fold_0" / "checkpoint_final.pth").stat().st_size
    # The published file has 411,387,150 bytes; aliases must not have been written as tensors of their own.
    assert 409_400_000 < size < 412_000_000
    with torch.device("meta"):
        found = read_published_folder(folder, NNInteractive())
    assert len(found.tensors) == 264
    assert sum(value.numel() for value in found.tensors.values()) == 102_355_818
