"""Checkpoints in every layout that is published, of the right names and shapes and without many numbers."""

from __future__ import annotations

import collections
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bedside.core.errors import WeightsError
from bedside.weights.models import model_cards

torch = pytest.importorskip("torch")

from bedside.engines.sam.convert.checkpoints import network_skeleton, read_sam_checkpoint, read_tensors  # noqa: E402

NAMES = [card.name for card in model_cards() if card.family == "sam"]
State = dict[str, Any]


def state_of(name: str, *, fused: bool = False) -> State:
    """Names and shapes of a checkpoint; every tensor is one number, repeated without taking room."""
    state = network_skeleton(name, fused=fused).state_dict()
    return {
        key: torch.full((), 0.5, dtype=torch.float32).expand(value.shape)
        if value.is_floating_point()
        else torch.zeros(value.shape, dtype=value.dtype)
        for key, value in state.items()
    }


def prefixed(prefix: str, state: State) -> State:
    return {prefix + key: value for key, value in state.items()}


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_plain_checkpoint_of_every_system_is_read(name: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "weights.pth", state_of(name))
    checkpoint = read_sam_checkpoint(path, name)
    assert checkpoint.tensors.keys() == network_skeleton(name).state_dict().keys()
    assert checkpoint.layout == "plain"
    assert list(checkpoint.files) == ["weights.pth"]
    assert not checkpoint.fused


LAYOUTS: dict[str, Callable[[State], Any]] = {
    "plain": lambda s: s,
    "model": lambda s: {"model": s, "optimizer": {"state": {}, "param_groups": []}, "epoch": 3},
    "state_dict": lambda s: {"state_dict": s, "epoch": 1},
    "state_dict > model.": lambda s: {
        "state_dict": {**prefixed("model.", s), "loss.weight": torch.ones(2)},
        "pytorch-lightning_version": "2.2.0",
        "hyper_parameters": {"learning_rate": 1e-4},
    },
    "module.": lambda s: prefixed("module.", s),
    "model > _orig_mod.": lambda s: {"model": prefixed("_orig_mod.", s)},
    "state_dict > model > module.": lambda s: {"state_dict": {"model": prefixed("module.", s)}},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_wrapping_is_understood(layout: str, tmp_path: Path) -> None:
    state = state_of("lite-medsam")
    checkpoint = read_sam_checkpoint(saved(tmp_path / "w.pth", LAYOUTS[layout](state)), "lite-medsam")
    assert checkpoint.tensors.keys() == state.keys()
    assert checkpoint.layout == layout


def test_safetensors_are_read(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    state = {key: value.contiguous() for key, value in state_of("lite-medsam").items()}
    save_file(state, tmp_path / "w.safetensors")
    assert read_sam_checkpoint(tmp_path / "w.safetensors", "lite-medsam").tensors.keys() == state.keys()
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    with pytest.raises(WeightsError, match="expected a safetensors file"):
        read_sam_checkpoint(tmp_path / "bad.safetensors", "lite-medsam")


def test_halves_become_whole_numbers_and_counts_may_be_missing(tmp_path: Path) -> None:
    state = {
        key: value.half() if value.is_floating_point() else value
        for key, value in state_of("lite-medsam").items()
        if not key.endswith("num_batches_tracked")
    }
    checkpoint = read_sam_checkpoint(saved(tmp_path / "w.pth", state), "lite-medsam")
    assert {v.dtype for v in checkpoint.tensors.values()} == {torch.float32, torch.int64}
    assert len(checkpoint.tensors) == 435


def test_branches_may_have_been_fused_already(tmp_path: Path) -> None:
    assert read_sam_checkpoint(saved(tmp_path / "w.pth", state_of("rep-medsam", fused=True)), "rep-medsam").fused


def encoder_of(name: str) -> State:
    return {k: v for k, v in state_of(name).items() if k.startswith("image_encoder.")}


ENCODERS: dict[str, Callable[[State], Any]] = {
    "student": lambda s: {
        "state_dict": {
            **{"student_encoder." + k.removeprefix("image_encoder."): v for k, v in s.items()},
            "teacher_encoder.pos_embed": torch.ones(3),
        }
    },
    "named": lambda s: s,
    "bare": lambda s: {k.removeprefix("image_encoder."): v for k, v in s.items()},
}


@pytest.mark.parametrize("layout", ENCODERS)
def test_a_distilled_encoder_is_completed_by_the_heads_of_another_file(layout: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "step_400000.ckpt", ENCODERS[layout](encoder_of("medficientsam-l0")))
    with pytest.raises(WeightsError, match=r"step_400000\.ckpt holds an image encoder only.*medsam_vit_b\.pth"):
        read_sam_checkpoint(path, "medficientsam-l0")
    saved(tmp_path / "medsam_vit_b.pth", state_of("medsam"))
    checkpoint = read_sam_checkpoint(tmp_path, "medficientsam-l0")
    assert checkpoint.tensors.keys() == network_skeleton("medficientsam-l0").state_dict().keys()
    assert list(checkpoint.files) == ["step_400000.ckpt", "medsam_vit_b.pth"]
    assert "heads of medsam_vit_b.pth" in checkpoint.layout


def test_a_folder_with_one_checkpoint_is_that_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("text")
    with pytest.raises(WeightsError, match=r"a file that ends in \.pth.*none in"):
        read_sam_checkpoint(tmp_path, "lite-medsam")
    saved(tmp_path / "a.pth", state_of("lite-medsam"))
    assert list(read_sam_checkpoint(tmp_path, "lite-medsam").files) == ["a.pth"]
    saved(tmp_path / "b.pth", state_of("lite-medsam"))
    with pytest.raises(WeightsError, match=r"one checkpoint, got a\.pth, b\.pth; name one"):
        read_sam_checkpoint(tmp_path, "lite-medsam")


def test_another_network_is_rejected_with_what_differs_and_what_it_fits(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.pth", state_of("medsam"))
    with pytest.raises(WeightsError) as error:
        read_sam_checkpoint(path, "lite-medsam")
    message = str(error.value)
    assert "checkpoint w.pth is of another network: expected the 435 tensors of 'lite-medsam', got 314" in message
    assert "missing (image_encoder.patch_embed.seq.0.c.weight, " in message
    assert "unknown (image_encoder.pos_embed, " in message
    assert "it fits 'medsam'" in message
    assert "\n" not in message


def test_a_shape_that_differs_is_named(tmp_path: Path) -> None:
    state = state_of("lite-medsam")
    state["image_encoder.neck.0.weight"] = torch.zeros(256, 448, 1, 1)
    with pytest.raises(WeightsError, match=r"1 of another shape \(image_encoder\.neck\.0\.weight \(256, 448, 1, 1\) f"):
        read_sam_checkpoint(saved(tmp_path / "w.pth", state), "lite-medsam")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_rejected(number: float, tmp_path: Path) -> None:
    state = state_of("lite-medsam")
    state["image_encoder.neck.0.weight"] = torch.full((256, 320, 1, 1), number)
    with pytest.raises(WeightsError, match=r"tensor image_encoder\.neck\.0\.weight: expected finite numbers"):
        read_sam_checkpoint(saved(tmp_path / "w.pth", state), "lite-medsam")


def test_masks_of_attention_may_be_infinite(tmp_path: Path) -> None:
    state = state_of("swin-lite-medsam")
    key = "image_encoder.stage1.blocks.0.1.attention_block.fn.fn.upper_lower_mask"
    state[key] = torch.full((64, 64), float("-inf"))
    assert bool(
        torch.isinf(read_sam_checkpoint(saved(tmp_path / "w.pth", state), "swin-lite-medsam").tensors[key]).all()
    )


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, {"model": "text"}, {"state_dict": {"a": 1}}])
def test_a_file_without_tensors_is_rejected(content: Any, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"expected tensors, bare or under state_dict"):
        read_tensors(saved(tmp_path / "w.pth", content))


def test_code_is_rejected_and_not_run(tmp_path: Path) -> None:
    class Call:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "victim"),)

    path = saved(tmp_path / "w.pth", {**state_of("lite-medsam"), "extra": Call()})
    with pytest.raises(WeightsError, match="would execute code"):
        read_sam_checkpoint(path, "lite-medsam")
    assert not (tmp_path / "victim").exists()


class AttributeDict(dict[str, Any]):
    """As Lightning keeps the arguments of a module's constructor."""

    def __getattr__(self, key: str) -> Any:
        return self[key]


def lightning(prefix: str, state: State, **more: Any) -> Any:
    """A checkpoint as a Lightning module with partially applied optimiser and schedulers saves it."""
    parameter = torch.nn.Parameter(torch.ones(3))
    optimiser = torch.optim.AdamW([parameter], lr=0.1)
    parameter.grad = torch.ones(3)
    optimiser.step()
    arguments = AttributeDict(
        image_encoder=torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)),
        optimizer=functools.partial(torch.optim.AdamW, lr=2e-6, weight_decay=5e-4),
        scheduler=functools.partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=345_000),
        loss=collections.defaultdict(list, dice=[1.0], focal=[20.0]),
        folder=Path("work"),
        sizes={512, 1024},
    )
    return {
        "epoch": 7,
        "global_step": 345_000,
        "pytorch-lightning_version": "2.2.1",
        "state_dict": collections.OrderedDict(prefixed(prefix, state)),
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 8}}}},
        "callbacks": {"ModelCheckpoint": {"best_model_path": "", "dirpath": Path("out")}},
        "optimizer_states": [optimiser.state_dict()],
        "lr_schedulers": [{"T_max": 345_000}],
        "hparams_name": "kwargs",
        "hyper_parameters": arguments,
        **more,
    }


@pytest.mark.parametrize("name", ["medficientsam-l0", "medficientsam-l1", "medficientsam-l2"])
def test_what_a_lightning_module_saves_is_read_and_nothing_else_of_it(name: str, tmp_path: Path) -> None:
    state = state_of(name)
    checkpoint = read_sam_checkpoint(saved(tmp_path / "w.ckpt", lightning("model.", state)), name)
    assert checkpoint.tensors.keys() == state.keys()
    assert checkpoint.layout == "state_dict > model."
    key = "image_encoder.neck.output_ops.0.op_list.0.conv.bias"
    assert torch.equal(checkpoint.tensors[key], torch.full((256,), 0.5))


def test_what_a_lightning_checkpoint_names_is_not_called(tmp_path: Path) -> None:
    class Call:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "victim"),)

    path = saved(tmp_path / "w.ckpt", lightning("model.", state_of("lite-medsam"), extra=Call()))
    assert read_sam_checkpoint(path, "lite-medsam").tensors.keys() == state_of("lite-medsam").keys()
    assert not (tmp_path / "victim").exists()
    # The place of a tensor is taken by what the file names: the tensor is missing.
    state = state_of("lite-medsam")
    state["image_encoder.neck.0.weight"] = Call()
    with pytest.raises(WeightsError, match=r"1 missing \(image_encoder\.neck\.0\.weight\)"):
        read_sam_checkpoint(saved(tmp_path / "x.ckpt", lightning("model.", state)), "lite-medsam")
    assert not (tmp_path / "victim").exists()


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="expected a file or folder"):
        read_sam_checkpoint(tmp_path / "none.pth", "lite-medsam")
