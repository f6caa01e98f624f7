from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bedside.engines.window.sampling.device import volume_starts
from bedside.engines.window.sampling.device.plane_windows import BOX, CLOSE, WIDE, Arrays
from bedside.engines.window.sampling.volume_starts import degrade_volume, draw_start
from bedside.imaging.paint import paint_prompts
from bedside.simulate.boxes import tight_box
from bedside.train.hashing import Draws

GRID = 24
GRID3 = (GRID,) * 3
BOX_CHANNEL, CLICK_CHANNEL, NEGATIVE_CHANNEL = 0, 2, 3


def blobs(count: int, seed: int = 0) -> NDArray[np.bool_]:
    """A large uneven body and a small one beside it."""
    generator = np.random.default_rng(seed)
    places = np.indices(GRID3)
    made = []
    for _ in range(count):
        middle, radius = generator.uniform(10, 15, (3, 1, 1, 1)), generator.uniform(4, 8)
        stretch = generator.uniform(0.7, 1.4, (3, 1, 1, 1))
        body = (((places - middle) * stretch) ** 2).sum(axis=0) < radius**2
        body &= ((places - middle - radius / 3) ** 2).sum(axis=0) > (radius / 3) ** 2
        made.append(body | (((places - 2) ** 2).sum(axis=0) < 4))
    return np.stack(made)


def keys(count: int) -> Tensor:
    return torch.from_numpy((Draws(5, np.arange(count)).bits()[:, 0] >> np.uint64(1)).astype(np.int64))


def table_of(arrays: Arrays, count: int) -> dict[str, Tensor]:
    return {"key": keys(count)} | {name: torch.from_numpy(values) for name, values in arrays.items()}


def started(
    mode: int, truth: NDArray[np.bool_], seed: int = 0
) -> tuple[Arrays, NDArray[np.float32], NDArray[np.float32]]:
    count = len(truth)
    drawn = volume_starts.draw_volume_starts(np.full(count, mode), Draws(seed, np.arange(count)))
    previous, painted = volume_starts.start_volumes(table_of(drawn, count), torch.from_numpy(truth))
    return drawn, previous.numpy(), painted.numpy()


@pytest.mark.parametrize(("mode", "name"), [(BOX, "box"), (WIDE, "wide"), (CLOSE, "close")])
def test_starts_are_distributed_as_those_of_the_reference(mode: int, name: str) -> None:
    count = 480
    truth = np.repeat(blobs(24), count // 24, axis=0)
    _, previous, painted = started(mode, truth)
    generator = np.random.default_rng(0)
    expected = [draw_start(t.astype(np.uint8), name, generator) for t in truth]
    wanted_previous, wanted = (np.stack(values) for values in zip(*expected, strict=True))
    assert float(painted.min()) >= 0
    assert float(painted.max()) <= 1
    assert set(np.unique(previous)) <= {0.0, 1.0}
    for channel in range(4):
        # How often something is painted, how much of it, and where in relation to the object.
        there, should = (p[:, channel].any(axis=(1, 2, 3)) for p in (painted, wanted))
        assert there.mean() == pytest.approx(should.mean(), abs=0.07)
        if should.mean() < 0.02:
            continue
        area, wanted_area = painted[there, channel].sum(axis=(1, 2, 3)), wanted[should, channel].sum(axis=(1, 2, 3))
        np.testing.assert_allclose(area.mean(), wanted_area.mean(), rtol=0.2)
        on, wanted_on = (painted[:, channel] * truth).sum(), (wanted[:, channel] * truth).sum()
        assert on / area.sum() == pytest.approx(wanted_on / wanted_area.sum(), abs=0.07)
    there, should = previous.any(axis=(1, 2, 3)), wanted_previous.any(axis=(1, 2, 3))
    assert there.mean() == pytest.approx(should.mean(), abs=0.05)
    if mode == CLOSE:
        assert float(previous.mean()) == pytest.approx(wanted_previous.mean(), rel=0.25)
    started_at_all = painted[:, [BOX_CHANNEL, CLICK_CHANNEL]].any(axis=(1, 2, 3, 4)) | there
    assert started_at_all.all()


def thickness(painted: NDArray[np.float32]) -> NDArray[np.int64]:
    """(samples, 3), layers that hold something along each axis."""
    others = ((2, 3), (1, 3), (1, 2))
    return np.stack([(painted > 0).any(axis=o).sum(axis=1) for o in others], axis=1)


def test_boxes_and_lassos_on_a_slice_are_a_cell_thick_and_on_the_object() -> None:
    truth = blobs(300)
    drawn, _, painted = started(BOX, truth)
    for name, share in (("lassos", 0.12), ("flats", 0.2)):
        rows = drawn["sliced"][drawn[name]]
        assert len(rows) / 300 == pytest.approx(share, abs=0.06)
        axis = drawn["slice_axis"][drawn[name]]
        assert len(set(axis.tolist())) == 3
        layers = thickness(painted[rows, BOX_CHANNEL])
        assert (layers[np.arange(len(rows)), axis] == 1).all()
        assert (painted[rows, BOX_CHANNEL] * truth[rows]).any(axis=(1, 2, 3)).mean() > 0.97
    assert (thickness(painted[drawn["boxed"], BOX_CHANNEL]) > 2).all()


def test_scribbles_lie_on_a_slice_of_their_own_axis() -> None:
    truth = blobs(400)
    drawn, _, painted = started(WIDE, truth)
    alone = ~np.isin(drawn["sliced"], drawn["clicked"])
    kinds = {name: drawn[name] for name in ("lines", "ridges", "rings")}
    assert sorted(np.concatenate(list(kinds.values())).tolist()) == list(range(len(drawn["sliced"])))
    for kind in kinds.values():
        chosen = kind[alone[kind]]
        rows, axis = drawn["sliced"][chosen], drawn["slice_axis"][chosen]
        assert len(rows) > 10
        full = painted[rows, CLICK_CHANNEL] == 1
        assert (full.any(axis=(1, 2, 3))).mean() > 0.9
        layers = thickness(full.astype(np.float32))[np.arange(len(rows)), axis]
        assert layers.max() == 1
        beside = thickness(painted[rows, CLICK_CHANNEL])[np.arange(len(rows)), axis]
        assert beside.max() == 3
        assert (painted[rows, CLICK_CHANNEL] * truth[rows]).any(axis=(1, 2, 3)).all()


def test_clicks_lie_in_the_largest_part() -> None:
    truth = blobs(200)
    drawn, _, painted = started(WIDE, truth)
    rows = np.setdiff1d(drawn["clicked"][drawn["first_clicks"]], drawn["sliced"])
    middles = painted[rows, CLICK_CHANNEL] == 1
    assert (middles.sum(axis=(1, 2, 3)) >= 1).all()
    assert not (middles & ~truth[rows]).any()
    assert not middles[:, :5, :5, :5].any()
    twice = np.intersect1d(drawn["clicked"][drawn["first_clicks"]], drawn["clicked"][drawn["further_clicks"]])
    assert (painted[twice, CLICK_CHANNEL] == 1).sum(axis=(1, 2, 3)).mean() > 1.5


def test_untouched_boxes_are_tight_and_thin_ones_stay_thin() -> None:
    truth = blobs(5)
    truth[3:] = False
    truth[3:, 7, 4:12, 5:9] = True
    painted = volume_starts.jittered_boxes(torch.from_numpy(truth), torch.zeros(5, 2, 3))
    for got, mask in zip(painted, truth, strict=True):
        np.testing.assert_allclose(got, paint_prompts([tight_box(mask)], GRID3)[0], atol=1e-6)
    moved = volume_starts.jittered_boxes(torch.from_numpy(truth[3:]), torch.full((2, 2, 3), 0.3)).numpy()
    assert thickness(moved)[:, 0].tolist() == [1, 1]
    assert moved.sum() > 1.5 * truth[3:].sum()


def test_negative_clicks_lie_beside_the_object() -> None:
    count = 400
    truth = np.zeros((count, *GRID3), dtype=np.bool_)
    truth[:, 8:13, 9:14, 7:12] = True
    place = torch.from_numpy(Draws(0, np.arange(count)).uniforms(3).astype(np.float32))
    painted = volume_starts.clicks_beside(torch.from_numpy(truth), place).numpy()
    there = painted.any(axis=(1, 2, 3))
    # Of 13 cells along each axis 5 are the object's.
    assert there.mean() == pytest.approx(1 - (5 / 13) ** 3, abs=0.04)
    centres = np.array([np.unravel_index(p.argmax(), GRID3) for p in painted[there]])
    assert centres.min(axis=0).tolist() == [4, 5, 3]
    assert centres.max(axis=0).tolist() == [16, 17, 15]
    assert not truth[0][tuple(centres.T)].any()


def test_degraded_masks_are_as_far_from_the_object_as_those_of_the_reference() -> None:
    count = 600
    truth = np.repeat(blobs(20), count // 20, axis=0)
    drawn = volume_starts._draw_degradation(np.arange(count), Draws(0, np.arange(count)))
    table = {name: torch.from_numpy(values) for name, values in drawn.items()}
    got = volume_starts.degrade_volumes(torch.from_numpy(truth), table, keys(count)).numpy()
    generator = np.random.default_rng(0)
    expected = np.stack([degrade_volume(t.astype(np.uint8), generator) for t in truth])

    def dice(masks: NDArray[np.float32]) -> NDArray[np.float64]:
        overlap = (masks * truth).sum(axis=(1, 2, 3))
        return 2 * overlap / (masks.sum(axis=(1, 2, 3)) + truth.sum(axis=(1, 2, 3)))

    ranks = [0.1, 0.3, 0.5, 0.7, 0.9]
    np.testing.assert_allclose(np.quantile(dice(got), ranks), np.quantile(dice(expected), ranks), atol=0.07)


def test_masks_are_coarsened_and_shifted_as_those_of_the_reference() -> None:
    truth = torch.from_numpy(blobs(6))
    coarse = torch.tensor([[1, 1, 1], [2, 3, 4], [6, 1, 5], [4, 6, 1], [3, 3, 3], [5, 2, 6]])
    level = {"coarse": coarse, "shift": torch.zeros(6, 3, dtype=torch.int64), "knots": torch.full((6,), 5),
             "rough": torch.tensor([[0.0, 0.4321]]).expand(6, -1)}  # fmt: skip
    got = volume_starts.degrade_volumes(truth, level, keys(6))
    for row, mask in enumerate(truth):
        pooled = F.avg_pool3d(mask[None, None].float(), coarse[row].tolist(), ceil_mode=True, count_include_pad=False)
        soft = F.interpolate(pooled, GRID3, mode="trilinear", align_corners=False)[0, 0]
        assert torch.equal(got[row] > 0, soft > 0.4321)
    cut = torch.zeros(1, *GRID3, dtype=torch.bool)
    cut[:, :6] = True
    moved = {"coarse": torch.ones(1, 3, dtype=torch.int64), "shift": torch.tensor([[2, 1, -2]]),
             "knots": torch.tensor([4]), "rough": torch.tensor([[0.0, 0.5]])}  # fmt: skip
    got = volume_starts.degrade_volumes(cut, moved, keys(1)).numpy()
    assert (got[0, :8] == 1).all()
    assert not got[0, 8:].any()


def test_starts_do_not_depend_on_the_batch() -> None:
    truth = torch.from_numpy(blobs(30))
    mode = np.arange(30) % 3
    whole_draw = volume_starts.draw_volume_starts(mode, Draws(0, np.arange(30)))
    whole = volume_starts.start_volumes(table_of(whole_draw, 30), truth)
    chosen = np.array([17, 4, 9, 28, 11, 23])
    some_draw = volume_starts.draw_volume_starts(mode[chosen], Draws(0, chosen))
    some = volume_starts.start_volumes(table_of(some_draw, 6) | {"key": keys(30)[chosen]}, truth[chosen])
    for a, b in zip(whole, some, strict=True):
        torch.testing.assert_close(a[chosen], b, rtol=0, atol=1e-4)
