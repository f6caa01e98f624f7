from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from bedside.engines.window.sampling.device import morphology, plane_starts
from bedside.engines.window.sampling.device.plane_windows import BOX, CLOSE, WIDE, Arrays
from bedside.engines.window.sampling.starts import degrade_mask, draw_start
from bedside.imaging.paint import paint_prompts
from bedside.simulate import components, scribbles
from bedside.simulate.boxes import tight_box
from bedside.simulate.clicks import first_click
from bedside.train.hashing import Draws

GRID = 48
BOX_CHANNEL, CLICK_CHANNEL, NEGATIVE_CHANNEL = 0, 2, 3


def blobs(count: int, seed: int = 0) -> NDArray[np.bool_]:
    """A large uneven body and a small one beside it."""
    generator = np.random.default_rng(seed)
    y, x = np.indices((GRID, GRID))
    made = []
    for _ in range(count):
        cy, cx, r = *generator.uniform(18, 30, 2), generator.uniform(7, 14)
        stretch = generator.uniform(0.6, 1.6)
        body = ((y - cy) * stretch) ** 2 + ((x - cx) / stretch) ** 2 < r**2
        body &= ~(((y - cy - r / 2) ** 2 + (x - cx) ** 2) < (r / 3) ** 2)
        small = (y - 4) ** 2 + (x - 5) ** 2 < 9
        made.append(body | small)
    return np.stack(made)


def keys(count: int) -> Tensor:
    return torch.from_numpy((Draws(5, np.arange(count)).bits()[:, 0] >> np.uint64(1)).astype(np.int64))


def table_of(arrays: Arrays, count: int) -> dict[str, Tensor]:
    return {"key": keys(count)} | {name: torch.from_numpy(values) for name, values in arrays.items()}


@pytest.mark.parametrize(("mode", "name"), [(BOX, "box"), (WIDE, "wide"), (CLOSE, "close")])
def test_starts_are_distributed_as_those_of_the_reference(mode: int, name: str) -> None:
    count = 600
    truth = np.repeat(blobs(20), count // 20, axis=0)
    drawn = plane_starts.draw_plane_starts(np.full(count, mode), Draws(0, np.arange(count)))
    previous, painted = plane_starts.start_planes(table_of(drawn, count), torch.from_numpy(truth))
    generator = np.random.default_rng(0)
    expected = [draw_start(t.astype(np.uint8), name, generator) for t in truth]
    wanted = np.stack([paint_prompts(prompts, (GRID, GRID)) for _, prompts in expected])
    wanted_previous = np.stack([p for p, _ in expected])
    assert float(painted.min()) >= 0
    assert float(painted.max()) <= 1
    rows = np.ones(count, dtype=bool)
    # The reference draws a lasso in the place of the box elsewhere.
    rows[drawn["lassoed"]] = False
    got = painted.numpy()
    for channel in range(4):
        # How often something is painted, how much of it, and where in relation to the object.
        there, should = got[rows, channel].any(axis=(1, 2)), wanted[:, channel].any(axis=(1, 2))
        assert there.mean() == pytest.approx(should.mean(), abs=0.06)
        if should.mean() < 0.02:
            continue
        area, wanted_area = got[rows, channel][there].sum(axis=(1, 2)), wanted[should, channel].sum(axis=(1, 2))
        assert area.mean() == pytest.approx(wanted_area.mean(), rel=0.15)
        on, wanted_on = (got[rows, channel] * truth[rows]).sum(), (wanted[:, channel] * truth).sum()
        assert on / area.sum() == pytest.approx(wanted_on / wanted_area.sum(), abs=0.07)
    there, should = previous.numpy().any(axis=(1, 2)), wanted_previous.any(axis=(1, 2))
    assert there.mean() == pytest.approx(should.mean(), abs=0.05)
    assert float(previous.mean()) == pytest.approx(wanted_previous.mean(), rel=0.25)


@pytest.mark.parametrize("sharpness", [None, 8.0, 2.0])
def test_first_clicks_lie_as_deep_as_those_of_the_reference(sharpness: float | None) -> None:
    truth = blobs(1)[0]
    part, region = components.largest_component(truth)
    inner = np.zeros_like(truth)
    inner[region.slices] = part
    depth = components.depth(inner)
    generator = np.random.default_rng(0)
    wanted = [first_click(truth, generator, sharpness).position[::-1] for _ in range(2000)]
    batch = torch.from_numpy(depth.astype(np.float32)).expand(2000, -1, -1)
    power = torch.full((2000,), sharpness or plane_starts.SHARPNESS[0])
    got = plane_starts.first_clicks(batch, power, keys(2000)).numpy()
    places = [depth[tuple(np.array(p, dtype=int).T)] for p in (got, np.array(wanted))]
    np.testing.assert_allclose(np.quantile(places[0], [0, 0.2, 0.5, 0.8]), np.quantile(places[1], [0, 0.2, 0.5, 0.8]),
                               atol=0.5)  # fmt: skip
    np.testing.assert_allclose(got.mean(axis=0), np.mean(wanted, axis=0), atol=0.4)
    np.testing.assert_allclose(got.std(axis=0), np.std(wanted, axis=0), atol=0.4)


def test_untouched_boxes_are_tight() -> None:
    truth = blobs(5)
    painted = plane_starts.jittered_boxes(torch.from_numpy(truth), torch.zeros(5, 2, 2))
    for got, mask in zip(painted, truth, strict=True):
        np.testing.assert_allclose(got, paint_prompts([tight_box(mask)], (GRID, GRID))[0], atol=1e-6)


def test_faces_move_by_their_share_of_the_side() -> None:
    moves = plane_starts.box_moves(Draws(0, np.arange(9000)), 2, jittered=np.arange(9000) < 8000)
    assert not moves[8000:].any()
    flat = moves[:8000].reshape(8000, 4)
    tight, loose = (flat == 0).all(axis=1), (flat > 0.1).any(axis=1)
    assert tight.mean() == pytest.approx(0.25, abs=0.02)
    assert loose.mean() == pytest.approx(0.35, abs=0.02)
    assert flat.min() > -0.05
    assert flat.max() < 0.35


def scribble_kinds(truth: NDArray[np.bool_], count: int) -> dict[str, tuple[Tensor, list[NDArray[np.float32]]]]:
    """By kind what is painted here, and what the reference paints."""
    batch = torch.from_numpy(truth).expand(count, -1, -1)
    part = morphology.largest_part(batch)
    depth, made = morphology.depth(part), keys(count)
    draws = Draws(1, np.arange(count))
    ends = torch.from_numpy(draws.uniforms(2, 0.05, 0.3).astype(np.float32))
    level, start, length = (
        torch.from_numpy(draws.uniform(*r).astype(np.float32))
        for r in ((0.2, 0.5), (-np.pi, np.pi), (0.5 * np.pi, 1.5 * np.pi))
    )
    generator = np.random.default_rng(2)

    def reference(kind: str) -> list[NDArray[np.float32]]:
        make = getattr(scribbles, kind)
        return [paint_prompts([make(truth, generator)], (GRID, GRID))[2] for _ in range(count)]

    return {
        "line": (plane_starts.paint_strokes(plane_starts.line_ends(part, made), (GRID, GRID)),
                 reference("line_scribble")),
        "ridge": (plane_starts.ridge_strokes(depth, ends), reference("centre_scribble")),
        "ring": (plane_starts.ring_strokes(depth, level, start, length, made), reference("contour_scribble")),
    }  # fmt: skip


@pytest.mark.parametrize("turned", [False, True])
def test_scribbles_run_where_those_of_the_reference_run(turned: bool) -> None:
    truth = blobs(3)[2].T if turned else blobs(3)[2]
    for kind, (got, expected) in scribble_kinds(truth, 300).items():
        mean, wanted = got.mean(dim=0).numpy(), np.mean(expected, axis=0)
        assert mean.sum() == pytest.approx(wanted.sum(), rel=0.2), kind
        smooth = [ndimage.gaussian_filter(m, 1.5) for m in (mean, wanted)]
        assert np.corrcoef(smooth[0].ravel(), smooth[1].ravel())[0, 1] > 0.93, kind
        assert (got.flatten(1).amax(dim=1) > 0.4).all(), kind


def test_lassos_go_around_the_object() -> None:
    truth = np.repeat(blobs(10), 20, axis=0)
    lasso = torch.tensor([[0.1, 0.1]]).expand(200, -1)
    got = plane_starts.lasso_areas(torch.from_numpy(truth), lasso, keys(200)).numpy()
    generator = np.random.default_rng(0)
    expected = np.stack([scribbles.lasso_region(t, generator, 0.1) for t in truth])
    for area in (got, expected):
        assert (area & truth).sum() / truth.sum() > 0.85
    assert got.sum() == pytest.approx(expected.sum(), rel=0.1)
    uneven = [np.mean([a.std() for a in np.split(areas, 10)]) for areas in (got, expected)]
    assert uneven[0] == pytest.approx(uneven[1], rel=0.1)
    assert all(np.array_equal(a, ndimage.binary_fill_holes(a)) for a in got)


def test_degraded_masks_are_as_far_from_the_object_as_those_of_the_reference() -> None:
    count = 400
    truth = np.repeat(blobs(20), count // 20, axis=0)
    drawn = plane_starts._draw_degradation(Draws(0, np.arange(count)), np.arange(count))
    got = plane_starts.degrade_planes(
        torch.from_numpy(truth), torch.from_numpy(drawn["coarse"]), torch.from_numpy(drawn["rough"]), keys(count)
    ).numpy()
    generator = np.random.default_rng(0)
    expected = np.stack([degrade_mask(t.astype(np.uint8), generator) for t in truth])

    def dice(masks: NDArray[np.float32]) -> NDArray[np.float64]:
        return 2 * (masks * truth).sum(axis=(1, 2)) / (masks.sum(axis=(1, 2)) + truth.sum(axis=(1, 2)))

    ranks = [0.1, 0.3, 0.5, 0.7, 0.9]
    np.testing.assert_allclose(np.quantile(dice(got), ranks), np.quantile(dice(expected), ranks), atol=0.05)


def test_negative_clicks_lie_beside_the_object() -> None:
    truth = blobs(60)
    painted = plane_starts.clicks_beside(torch.from_numpy(truth), keys(60)).numpy()
    centres = np.array([np.unravel_index(p.argmax(), p.shape) for p in painted])
    assert painted.max(axis=(1, 2)).min() == 1
    away = np.array([ndimage.distance_transform_edt(~t)[tuple(c)] for t, c in zip(truth, centres, strict=True)])
    assert away.min() >= 1
    assert away.max() <= 12
    full = torch.ones(1, GRID, GRID, dtype=torch.bool)
    assert float(plane_starts.clicks_beside(full, keys(1)).max()) == 0


def test_starts_do_not_depend_on_the_batch() -> None:
    truth = torch.from_numpy(blobs(30))
    mode = np.arange(30) % 3
    whole_draw = plane_starts.draw_plane_starts(mode, Draws(0, np.arange(30)))
    whole = plane_starts.start_planes(table_of(whole_draw, 30), truth)
    chosen = np.array([17, 4, 9, 28, 11, 23])
    some_draw = plane_starts.draw_plane_starts(mode[chosen], Draws(0, chosen))
    table = table_of(some_draw, 6) | {"key": keys(30)[chosen]}
    some = plane_starts.start_planes(table, truth[chosen])
    for a, b in zip(whole, some, strict=True):
        torch.testing.assert_close(a[chosen], b, rtol=0, atol=1e-4)
