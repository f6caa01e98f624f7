from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bedside.data.store import Store
from bedside.engines.window.training.slice_teacher import SliceAnswers, SliceTeacher, boxes, slice_loss, take_slices
from bedside.engines.window.training.task import create
from bedside.imaging.intensity import normalise_window
from bedside.train.config import TrainingConfig

CPU = torch.device("cpu")
GRID = 32


class Echo(nn.Module):
    """Answers what its box shows, and keeps its input."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.asked.append(x)
        return (x[:, 4:5] - 0.5) * 40


def balls(count: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    axes = torch.meshgrid(*[torch.arange(GRID)] * 3, indexing="ij")
    truth = torch.stack(
        [sum((a - 10 - 3 * n) ** 2 for a in axes) <= (4 + n) ** 2 for n in range(count)]  # type: ignore[attr-defined]
    )
    image = torch.randn((count, 1, *(GRID,) * 3), generator=generator) + truth[:, None]
    inside = torch.ones_like(truth)
    inside[:, :, :, -4:] = False
    return {"image": image, "truth": truth.to(torch.uint8), "inside": inside}


def test_slices_that_show_the_object_are_asked_with_its_box() -> None:
    batch, network = balls(3), Echo()
    teacher = SliceTeacher(network, "fp32")
    seen = set()
    for seed in range(8):
        answers = teacher.answer(batch, torch.Generator().manual_seed(seed))
        seen.add(answers.axis)
        truth = take_slices(batch["truth"] > 0, answers.axis, answers.index)
        assert bool(truth.flatten(1).any(dim=1).all())
        expected = boxes(truth)
        # A cell of the box's border shares the finer cells between it and the next.
        torch.testing.assert_close((answers.probability > 0.5).float(), expected)
        inputs = network.asked[-1]
        assert inputs.shape == (3, 8, 2 * GRID, 2 * GRID)
        assert torch.equal(inputs[:, 0], inputs[:, 2])
        assert not inputs[:, [3, 5, 6, 7]].any()
    assert seen == {0, 1, 2}


def test_images_are_as_the_teacher_knows_them() -> None:
    batch = balls(2)
    network = Echo()
    answers = SliceTeacher(network, "fp32").answer(batch, torch.Generator().manual_seed(1))
    image = take_slices(batch["image"][:, 0], answers.axis, answers.index)
    inside = take_slices(batch["inside"], answers.axis, answers.index)
    for n in range(2):
        expected = torch.from_numpy(normalise_window(image[n][None].numpy(), inside[n].numpy()))
        fine = nn.functional.interpolate(expected[None], scale_factor=2.0, mode="bilinear", align_corners=False)
        torch.testing.assert_close(network.asked[0][n, 0], fine[0, 0], atol=0.05, rtol=0.05)


def test_boxes_are_tight() -> None:
    masks = torch.zeros(2, 6, 7, dtype=torch.bool)
    masks[0, 1, 2] = masks[0, 4, 3] = True
    expected = torch.zeros(2, 6, 7)
    expected[0, 1:5, 2:4] = 1
    assert torch.equal(boxes(masks), expected)


def test_the_losses_of_parts_are_that_of_the_batch() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn((4, *(8,) * 3), generator=generator)
    inside = torch.ones(4, 8, 8)
    probability = torch.rand((4, 8, 8), generator=generator)
    answers = SliceAnswers(1, torch.tensor([0, 3, 5, 7]), probability, inside, inside.sum())
    whole = slice_loss(logits, answers, slice(0, 4))
    parts = sum(float(slice_loss(logits[n : n + 2], answers, slice(n, n + 2))) for n in (0, 2))
    assert abs(float(whole) - parts) < 1e-5
    own = torch.stack([logits[n, :, i] for n, i in enumerate([0, 3, 5, 7])])
    expected = nn.functional.binary_cross_entropy_with_logits(own, answers.probability)
    torch.testing.assert_close(whole, expected)


def test_the_task_adds_what_the_teacher_says(config: TrainingConfig, volume_store: Store) -> None:
    small = {"model": "bedside-3d", "architecture": {"widths": [8] * 5, "depths": [1] * 5}}
    sums = []
    for weight in (0.0, 0.5):
        task = create(config.with_overrides({**small, "slice_teacher_weight": weight}), volume_store, CPU)
        torch.manual_seed(0)
        network = task.build()
        (stage,) = task.stages()
        dataset: Any = task.dataset(stage)
        batch = dataset.__getitems__([0, 1])
        losses = list(task.losses(network, batch, torch.Generator().manual_seed(0)))
        sum(losses).backward()  # type: ignore[union-attr]
        sums.append(float(sum(losses).detach()))  # type: ignore[union-attr]
    assert sums[1] > sums[0] + 0.05
