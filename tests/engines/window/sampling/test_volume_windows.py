from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from bedside.engines.window.sampling.volume_windows import (
    VolumeWarp,
    bounding_slices,
    draw_volume_warp,
    grid_positions,
    inside_volume,
    plain_warp,
    rotation,
    sample_volume,
)
from bedside.imaging.window import Window

GRID = 32
SHAPE = (24, 40, 33)


def smooth_volume(seed: int, shape: tuple[int, ...] = SHAPE) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).standard_normal(shape)
    smooth = ndimage.gaussian_filter(noise, 3)
    return (smooth / smooth.std()).astype(np.float32)


def read(volume: NDArray[np.float32], warp: VolumeWarp, *, zeros: bool = False) -> NDArray[np.float32]:
    positions, cells = grid_positions(warp, GRID), warp.cells(GRID)
    block = bounding_slices(positions, volume.shape, max(cells) + 2)
    start = tuple(s.start for s in block)
    values: NDArray[np.float32] = sample_volume(volume[block], start, positions, cells, zeros=zeros).numpy()
    return values


class TestWindow:
    @settings(max_examples=25, deadline=None)
    @given(
        centre=st.tuples(*[st.floats(0.2, 0.8)] * 3),
        sides=st.tuples(*[st.floats(0.2, 0.95)] * 3),
        seed=st.integers(0, 5),
    )
    def test_without_augmentation_it_reads_what_inference_reads(
        self, centre: tuple[float, ...], sides: tuple[float, ...], seed: int
    ) -> None:
        volume = smooth_volume(seed)
        middle = tuple(c * n for c, n in zip(centre, SHAPE, strict=True))
        extent = tuple(s * n for s, n in zip(sides, SHAPE, strict=True))
        warp = plain_warp((middle[0], middle[1], middle[2]), extent)
        expected, inside = Window.centred(middle, extent, (GRID,) * 3).sample(volume)
        positions = grid_positions(warp, GRID)
        ours = inside_volume(positions, SHAPE)
        # At the border inference asks for half a cell, training for its centre.
        both = ours & inside
        assert np.count_nonzero(ours != inside) <= 0.12 * ours.size
        assert np.abs(read(volume, warp) - expected[0])[both].max() < 0.25
        assert np.abs(read(volume, warp) - expected[0])[both].mean() < 0.02

    @settings(max_examples=15, deadline=None)
    @given(factor=st.floats(1.5, 4.0), seed=st.integers(0, 5))
    def test_a_coarse_window_is_averaged_as_in_inference(self, factor: float, seed: int) -> None:
        shape = (96, 100, 98)
        volume = smooth_volume(seed, shape) + np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
        side = 24 * factor
        warp = plain_warp((48.0, 50.0, 49.0), (side,) * 3)
        positions, cells = grid_positions(warp, 24), warp.cells(24)
        block = bounding_slices(positions, shape, max(cells) + 2)
        ours = sample_volume(volume[block], tuple(s.start for s in block), positions, cells).numpy()
        theirs = Window.centred((48.0, 50.0, 49.0), (side,) * 3, (24,) * 3).sample(volume, exact=True)[0][0]
        truth = Window.centred((48.0, 50.0, 49.0), (side,) * 3, (24,) * 3).sample(smooth_volume(seed, shape))[0][0]
        # Reading single voxels would leave the noise as it is, with a deviation of 1.
        assert np.std(ours - truth) < 0.75
        assert np.std(ours - theirs) < 0.6

    def test_a_window_of_whole_voxels_is_a_copy(self) -> None:
        volume = smooth_volume(0, (40, 40, 40))
        values = read(volume, plain_warp((20.0, 19.0, 21.0), (32.0, 32.0, 32.0)))
        np.testing.assert_allclose(values, volume[4:36, 3:35, 5:37], atol=1e-5)

    @settings(max_examples=25, deadline=None)
    @given(seed=st.integers(0, 10_000), share=st.floats(0.3, 1.6))
    def test_only_the_bounding_block_is_read(self, seed: int, share: float) -> None:
        volume = smooth_volume(1)
        generator = np.random.default_rng(seed)
        centre = tuple(float(c) for c in generator.uniform(0, SHAPE))
        warp = draw_volume_warp((centre[0], centre[1], centre[2]), tuple(share * n for n in SHAPE), generator)
        positions, cells = grid_positions(warp, GRID), warp.cells(GRID)
        for zeros in (False, True):
            block = bounding_slices(positions, SHAPE, max(cells) + 2)
            step = tuple(max(1, int(c)) for c in cells)
            # Blocks that are averaged must begin at the same voxel for the averages to be the same.
            aligned = tuple(slice(b.start // s * s, b.stop) for b, s in zip(block, step, strict=True))
            part = sample_volume(volume[aligned], tuple(s.start for s in aligned), positions, cells, zeros=zeros)
            whole = sample_volume(volume, (0, 0, 0), positions, cells, zeros=zeros)
            torch.testing.assert_close(part, whole, atol=1e-4, rtol=1e-4)


class TestAlignment:
    @settings(max_examples=40, deadline=None)
    @given(seed=st.integers(0, 100_000))
    def test_an_image_of_its_own_object_stays_on_it_under_any_warp(self, seed: int) -> None:
        generator = np.random.default_rng(seed)
        shape = (36, 44, 52)
        centre = generator.uniform(14, 22, size=3)
        radii = generator.uniform(5, 11, size=3)
        offsets = (np.indices(shape) + 0.5 - centre.reshape(3, 1, 1, 1)) / radii.reshape(3, 1, 1, 1)
        blob = ((offsets**2).sum(axis=0) <= 1).astype(np.float32)
        warp = draw_volume_warp((20.0, 22.0, 24.0), (40.0, 34.0, 46.0), generator)
        image, truth = read(blob, warp), read(blob, warp, zeros=True) > 0.5
        inside = inside_volume(grid_positions(warp, GRID), shape)
        assert truth.sum() > 100
        assert np.array_equal((image > 0.5)[inside], truth[inside])
        assert not truth[~inside].any()
        # The blob's middle is where the warp says that it is.
        positions = grid_positions(warp, GRID).numpy()
        np.testing.assert_allclose(positions[truth].mean(axis=0), centre, atol=0.8)

    @settings(max_examples=30, deadline=None)
    @given(seed=st.integers(0, 100_000))
    def test_positions_are_read_where_they_lie(self, seed: int) -> None:
        generator = np.random.default_rng(seed)
        warp = draw_volume_warp((12.0, 20.0, 16.0), (14.0, 20.0, 17.0), generator)
        positions = grid_positions(warp, GRID)
        ramps = np.indices(SHAPE).astype(np.float32) + 0.5
        well_inside = ((positions >= 1) & (positions <= torch.tensor(SHAPE) - 1)).all(dim=-1).numpy()
        assert well_inside.mean() > 0.3
        for axis in range(3):
            values = read(ramps[axis], warp)
            np.testing.assert_allclose(values[well_inside], positions[..., axis].numpy()[well_inside], atol=1e-3)


class TestWarp:
    @settings(max_examples=50, deadline=None)
    @given(seed=st.integers(0, 100_000))
    def test_it_turns_in_the_body_and_keeps_the_volume(self, seed: int) -> None:
        sides = (10.0, 20.0, 40.0)
        warp = draw_volume_warp((1.0, 2.0, 3.0), sides, np.random.default_rng(seed))
        body = np.diag(1 / np.array(sides)) @ warp.matrix
        assert abs(np.linalg.det(body)) == pytest.approx(1.0, rel=1e-9)
        stretch = np.sqrt((body**2).sum(axis=0))
        # Columns are the grid's axes: a rotation, perhaps mirrored, of stretched axes.
        np.testing.assert_allclose(body.T @ body, np.diag(stretch**2), atol=1e-9)
        assert stretch.min() > 0.4
        assert stretch.max() < 2.2

    def test_axes_are_stretched_by_themselves_as_often_as_asked(self) -> None:
        def longest(anisotropy: float) -> list[float]:
            warps = [
                draw_volume_warp((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), np.random.default_rng(n), anisotropy)
                for n in range(300)
            ]
            return [float(np.sqrt((w.matrix**2).sum(axis=0)).max()) for w in warps]

        # Without, the mean of three draws from -0.2 to 0.2 is taken off the largest.
        assert max(longest(0.0)) <= np.exp(0.4 * 2 / 3) + 1e-6
        shares = [np.mean(np.array(longest(a)) > 1.32) for a in (1.0, 4.0)]
        assert 0 < shares[0] < shares[1]

    def test_axes_come_in_every_order_and_direction(self) -> None:
        seen = set()
        for seed in range(600):
            matrix = draw_volume_warp((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), np.random.default_rng(seed)).matrix
            if np.count_nonzero(np.abs(matrix) > 1e-9) == 3:
                seen.add(tuple(np.sign(np.round(matrix, 6)).astype(int).ravel()))
        assert len(seen) == 48

    def test_a_rotation_is_one(self) -> None:
        for seed in range(20):
            turned = rotation(np.random.default_rng(seed), np.pi)
            np.testing.assert_allclose(turned @ turned.T, np.eye(3), atol=1e-12)
            assert np.linalg.det(turned) == pytest.approx(1.0)

    def test_cells_are_lengths_along_the_volume(self) -> None:
        assert plain_warp((0.0, 0.0, 0.0), (32.0, 64.0, 16.0)).cells(32) == pytest.approx((1.0, 2.0, 0.5))
