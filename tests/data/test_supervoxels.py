from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from bedside.data.supervoxels import LONGEST_SIDE, contact_graph, merge_regions, reduce_volume, supervoxel_maps


def scene(shape: tuple[int, int, int] = (20, 40, 48)) -> NDArray[np.int16]:
    """Two boxes of their own intensity on a noisy ground."""
    volume = np.random.default_rng(0).normal(0, 20, shape)
    volume[4:16, 5:18, 6:20] += 600
    volume[4:16, 22:36, 24:42] -= 500
    return volume.astype(np.int16)


@pytest.fixture(scope="module")
def maps() -> NDArray[np.uint16]:
    return supervoxel_maps(reduce_volume(scene(), None)[0], (2.0, 1.0, 1.0))


class TestMaps:
    def test_every_voxel_has_a_region_and_numbers_have_no_gap(self, maps: NDArray[np.uint16]) -> None:
        assert maps.shape == (3, 20, 40, 48)
        assert maps.dtype == np.uint16
        for labels in maps:
            assert sorted(np.unique(labels)) == list(range(1, int(labels.max()) + 1))

    def test_regions_grow_from_map_to_map_and_nest(self, maps: NDArray[np.uint16]) -> None:
        counts = [int(m.max()) for m in maps]
        assert counts[0] > counts[1] >= counts[2] >= 3

    def test_an_object_of_its_own_intensity_is_a_region(self, maps: NDArray[np.uint16]) -> None:
        truth = np.zeros(maps.shape[1:], dtype=bool)
        truth[4:16, 5:18, 6:20] = True
        best = 0.0
        for labels in maps:
            for value in np.unique(labels[truth]):
                part = labels == value
                best = max(best, 2 * (part & truth).sum() / (part.sum() + truth.sum()))
        assert best > 0.85

    @pytest.mark.parametrize("shape", [(1, 30, 30), (3, 20, 24), (16, 16, 16)])
    def test_thin_and_empty_volumes_are_covered_too(self, shape: tuple[int, ...]) -> None:
        labels = supervoxel_maps(np.zeros(shape, dtype=np.uint8), None)
        assert labels.shape == (3, *shape)
        assert labels.min() == 1

    def test_the_same_volume_gives_the_same_maps(self) -> None:
        volume = reduce_volume(scene((10, 24, 24)), None)[0]
        np.testing.assert_array_equal(supervoxel_maps(volume, None), supervoxel_maps(volume, None))


class TestReduction:
    def test_large_volumes_shrink_and_keep_their_size_in_millimetres(self) -> None:
        volume = ndimage.zoom(scene(), (2, 5, 6), order=1)
        reduced, spacing = reduce_volume(volume, (3.0, 0.5, 0.5))
        assert reduced.dtype == np.uint8
        assert max(reduced.shape) <= LONGEST_SIDE
        assert spacing is not None
        before = np.array(volume.shape) * (3.0, 0.5, 0.5)
        np.testing.assert_allclose(np.array(reduced.shape) * spacing, before, rtol=1e-6)

    def test_small_volumes_keep_their_grid_and_order_of_values(self) -> None:
        volume = scene((6, 12, 14))
        reduced, spacing = reduce_volume(volume, None)
        assert reduced.shape == volume.shape
        assert spacing is None
        assert (reduced.min(), reduced.max()) == (0, 255)
        order = np.argsort(volume.ravel(), kind="stable")
        assert (np.diff(reduced.ravel()[order].astype(int)) >= 0).all()


def graphs() -> st.SearchStrategy[NDArray[np.int64]]:
    return st.lists(st.integers(0, 5), min_size=24, max_size=24).map(
        lambda values: np.unique(np.array(values), return_inverse=True)[1].reshape(2, 3, 4)
    )


@given(labels=graphs(), seed=st.integers(0, 1000))
def test_the_graph_holds_every_contact_once_by_rising_difference(labels: NDArray[np.int64], seed: int) -> None:
    means = np.random.default_rng(seed).uniform(size=int(labels.max()) + 1)
    edges, gaps = contact_graph(labels, means)
    expected = set()
    for index in np.ndindex(labels.shape):
        for axis in range(3):
            other = list(index)
            other[axis] += 1
            if other[axis] < labels.shape[axis] and labels[index] != labels[tuple(other)]:
                expected.add(tuple(sorted((int(labels[index]), int(labels[tuple(other)])))))
    assert {tuple(edge) for edge in edges.tolist()} == expected
    assert len(edges) == len(expected)
    assert (np.diff(gaps) >= 0).all()
    np.testing.assert_allclose(gaps, np.abs(means[edges[:, 0]] - means[edges[:, 1]]))


@settings(max_examples=200)
@given(labels=graphs(), seed=st.integers(0, 1000), scale=st.floats(0.001, 3.0))
def test_merging_obeys_the_criterion(labels: NDArray[np.int64], seed: int, scale: float) -> None:
    count = int(labels.max()) + 1
    edges, gaps = contact_graph(labels, np.random.default_rng(seed).uniform(size=count))
    regions: list[tuple[set[int], float]] = [({n}, 0.0) for n in range(count)]
    # The criterion word for word: sets, each with the largest difference that was merged over within it.
    for (a, b), gap in zip(edges.tolist(), gaps.tolist(), strict=True):
        first = next(r for r in regions if a in r[0])
        second = next(r for r in regions if b in r[0])
        if first is second:
            continue
        if gap <= first[1] + scale / len(first[0]) and gap <= second[1] + scale / len(second[0]):
            regions = [r for r in regions if r is not first and r is not second]
            regions.append((first[0] | second[0], gap))
    merged = merge_regions(count, edges, gaps, scale)
    assert {frozenset(np.flatnonzero(merged == n).tolist()) for n in range(merged.max() + 1)} == {
        frozenset(r[0]) for r in regions
    }


def test_scales_at_their_extremes() -> None:
    labels = np.arange(27).reshape(3, 3, 3)
    edges, gaps = contact_graph(labels, np.linspace(0, 1, 27))
    assert merge_regions(27, edges, gaps, 1e-9).max() == 26
    assert merge_regions(27, edges, gaps, 1e9).max() == 0
