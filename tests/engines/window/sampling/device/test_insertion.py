from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from bedside.engines.window.sampling.device.appearance import white_noise
from bedside.engines.window.sampling.device.insertion import (
    CORE_NOISE,
    COVERAGE_NOISE,
    FULL,
    MODES,
    draw_insertions,
    insert_shapes,
    intensity_range,
    paint_layers,
)
from bedside.engines.window.sampling.device.plane_windows import BOX, CLOSE, WIDE
from bedside.engines.window.sampling.insertion import CONTRAST, EXTENTS, OPACITY, TEXTURE, TINT, Paint, paint_layer
from bedside.engines.window.sampling.sampler import MINIMUM_CELLS

SHAPES = [(3, 48, 48), (1, 24, 24, 24)]
"""Of an image on the grid."""


def drawn(
    count: int, shape: tuple[int, ...] = SHAPES[0], mode: int = BOX, colour: bool = True, seed: int = 7
) -> dict[str, NDArray[Any]]:
    """The table of samples that all get a shape."""
    rows = np.arange(count)
    return draw_insertions(rows, np.full(count, mode), np.full(count, colour), seed, rows, shape, MINIMUM_CELLS)


def windows(batch: int, shape: tuple[int, ...]) -> Tensor:
    """Waves of different range in every channel."""
    cells = torch.arange(int(np.prod(shape[1:]))).float()
    waves = torch.stack([torch.sin(cells * (0.01 + 0.003 * n)) for n in range(batch * shape[0])])
    scale = 20 + 10 * torch.arange(batch * shape[0])[:, None]
    return (100 + scale * waves).view(batch, *shape)


def range_of(image: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of every channel, from all cells."""
    low, high = np.quantile(image.reshape(len(image), -1), [0.02, 0.98], axis=1)
    span: NDArray[np.float64] = high - low
    return span


def paint_of(numbers: Tensor) -> Paint:
    contrast, texture, opacity, hides, *tint = numbers.tolist()
    return Paint(tuple(tint), contrast, texture, opacity, hides > 0)


@pytest.mark.parametrize("shape", SHAPES)
def test_paint_is_that_of_the_reference(shape: tuple[int, ...]) -> None:
    count, rows = 40, torch.arange(2, 42)
    table = {name: torch.from_numpy(values) for name, values in drawn(count, shape).items()} | {"inserted": rows}
    table["key"] = torch.arange(44) * 1234567891234
    image, grid = windows(44, shape), shape[1:]
    truth, inside = torch.zeros(44, *grid, dtype=torch.bool), torch.ones(44, *grid, dtype=torch.bool)
    inside[:, :10] = False
    got, meant = insert_shapes(image.clone(), truth, inside, table)
    noises = [white_noise(table["key"][rows], s, grid) for s in (COVERAGE_NOISE, CORE_NOISE)]
    cored = table["cored"].tolist()
    assert 1 < len(cored) < 14
    hiding = 0
    for place, row in enumerate(rows.tolist()):
        span = torch.from_numpy(range_of(image[row].numpy())).float()
        paint, cover = paint_of(table["inserted_paint"][place]), table["inserted_coverage"][place] / FULL
        hiding += paint.hides
        wanted = paint_layer(image[row], cover, span, paint, noises[0][place])
        if place in cored:
            at = cored.index(place)
            core, paint = table["core"][at] / FULL, paint_of(table["core_paint"][at])
            wanted = paint_layer(wanted, core, span, paint, noises[1][place])
        # In volumes the range is taken from a part of the cells.
        tolerance = 1e-5 if len(grid) == 2 else 0.02
        torch.testing.assert_close(got[row], wanted, rtol=0, atol=tolerance * float(span.max()))
        assert torch.equal(meant[row], (table["inserted_object"][place] > 0) & inside[row])
    assert 5 < hiding < 35
    assert torch.equal(got[:2], image[:2])
    assert torch.equal(got[42:], image[42:])
    assert not meant[:2].any()


def test_coverage_in_255_steps_is_as_good_as_exact() -> None:
    image, numbers = windows(1, SHAPES[0]), torch.tensor([[0.8, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0]])
    exact = torch.rand(48, 48, generator=torch.Generator().manual_seed(0))
    quantised = (exact * FULL).round().to(torch.uint8)
    span, noise = intensity_range(image), torch.zeros(1, 1, 48, 48)
    got = paint_layers(image, quantised[None], span, numbers, noise)[0]
    wanted = paint_layer(image[0], exact, span[0], paint_of(numbers[0]), noise[0, 0])
    assert 0 < float(((got - wanted).abs() / span[0, :, None, None]).max()) <= 0.8 * 0.5 / FULL + 1e-5


def test_a_shape_is_of_seed_and_number_alone() -> None:
    modes, colour, numbers = np.array([BOX, WIDE, CLOSE] * 8), np.array([True, False] * 12), np.arange(100, 124)
    whole = draw_insertions(np.arange(24), modes, colour, 3, numbers, SHAPES[0], MINIMUM_CELLS)
    chosen = np.array([17, 4, 9, 21])
    part = draw_insertions(np.arange(4), modes[chosen], colour[chosen], 3, numbers[chosen], SHAPES[0], MINIMUM_CELLS)
    others = draw_insertions(chosen, modes, colour, 3, numbers, SHAPES[0], MINIMUM_CELLS)
    for name in ("inserted_object", "inserted_coverage", "inserted_paint"):
        np.testing.assert_array_equal(part[name], whole[name][chosen])
        np.testing.assert_array_equal(part[name], others[name])
    for place, row in enumerate(chosen):
        ours, theirs = np.flatnonzero(whole["cored"] == row), np.flatnonzero(part["cored"] == place)
        np.testing.assert_array_equal(whole["core"][ours], part["core"][theirs])
        np.testing.assert_array_equal(whole["core_paint"][ours], part["core_paint"][theirs])
    other = draw_insertions(np.arange(24), modes, colour, 4, numbers, SHAPES[0], MINIMUM_CELLS)
    assert not np.array_equal(other["inserted_coverage"], whole["inserted_coverage"])
    assert len({values.tobytes() for values in whole["inserted_coverage"]}) == 24


@pytest.mark.parametrize("shape", SHAPES)
def test_fields_are_what_the_painting_takes(shape: tuple[int, ...]) -> None:
    table = drawn(30, shape)
    cored, grid, numbers = len(table["cored"]), shape[1:], 4 + shape[0]
    assert {name: (values.shape, values.dtype.name) for name, values in table.items()} == {
        "inserted": ((30,), "int64"),
        "inserted_object": ((30, *grid), "uint8"),
        "inserted_coverage": ((30, *grid), "uint8"),
        "inserted_paint": ((30, numbers), "float32"),
        "cored": ((cored,), "int64"),
        "core": ((cored, *grid), "uint8"),
        "core_paint": ((cored, numbers), "float32"),
    }
    assert set(np.unique(table["inserted_object"])) == {0, 1}
    assert table["inserted_coverage"].max() == FULL
    assert table["inserted_object"].reshape(30, -1).sum(axis=1).min() >= MINIMUM_CELLS
    none = drawn(0, shape)
    assert [len(values) for values in none.values()] == [0] * len(table)


def test_paint_is_drawn_from_its_ranges() -> None:
    contrast, texture, opacity, hides, *tint = drawn(1500, (3, 32, 32))["inserted_paint"].T
    for values, (low, high) in ((abs(contrast), CONTRAST), (texture, TEXTURE), (opacity, OPACITY), (tint[2], TINT)):
        assert low <= values.min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < values.max() <= high
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.05 * (high - low))
    assert np.mean(contrast > 0) == pytest.approx(0.5, abs=0.05)
    assert np.mean(hides) == pytest.approx(0.4, abs=0.05)
    assert not np.array_equal(tint[0], tint[1])


def test_shells_are_filled_half_as_often_as_they_come() -> None:
    table = drawn(400, (3, 32, 32))
    # One shape in five is a shell.
    assert len(table["cored"]) / 400 == pytest.approx(0.1, abs=0.04)
    assert table["core"].any(axis=(1, 2)).all()


def test_shapes_are_as_long_as_the_start_asks_for() -> None:
    assert [MODES[mode] for mode in (BOX, WIDE, CLOSE)] == list(EXTENTS)
    shares = [np.mean(drawn(60, mode=mode)["inserted_coverage"] > 0) for mode in (WIDE, BOX, CLOSE)]
    assert shares[0] < shares[1] < 0.8 * shares[2]


def test_equal_channels_stay_equal() -> None:
    table = {name: torch.from_numpy(values) for name, values in drawn(20, colour=False).items()}
    table["key"] = torch.arange(20)
    grey = windows(20, (1, 48, 48)).expand(-1, 3, -1, -1).clone()
    truth = torch.zeros(20, 48, 48, dtype=torch.bool)
    got, _ = insert_shapes(grey.clone(), truth, ~truth, table)
    assert torch.equal(got[:, 0], got[:, 1])
    assert torch.equal(got[:, 0], got[:, 2])
    assert (got != grey).flatten(1).any(dim=1).all()


def test_a_window_of_one_value_stays_finite() -> None:
    table = {name: torch.from_numpy(values) for name, values in drawn(8).items()} | {"key": torch.arange(8)}
    truth = torch.zeros(8, 48, 48, dtype=torch.bool)
    got, _ = insert_shapes(torch.zeros(8, 3, 48, 48), truth, ~truth, table)
    assert bool(got.isfinite().all())
    table["inserted_coverage"].zero_()
    table["core"].zero_()
    got, _ = insert_shapes(torch.ones(8, 3, 48, 48), truth, ~truth, table)
    assert bool((got == 1).all())
