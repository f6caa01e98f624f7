from __future__ import annotations

import numpy as np
import pytest

from bedside.core.errors import InputError
from bedside.core.region import Region
from bedside.data.catalogue import find_data_sets
from bedside.evaluate.cases import ObjectSelection, TargetObject, prepare_case


def by_name(data):
    return {s.name: s for s in find_data_sets(data)}


def test_an_image_is_one_view_without_tiny_objects(data):
    images = by_name(data)["images"]
    case = prepare_case(images, images.cases[0], ObjectSelection())
    (view,) = case.views
    assert [o.name for o in view.objects] == ["1", "2"]
    assert (case.tiny, case.left_out) == (1, 0)
    labels = images.cases[0].load().labels
    for target in view.objects:
        np.testing.assert_array_equal(target.within(Region.whole(labels.shape)), labels == target.label)
        assert target.size == (labels == target.label).sum()


def test_objects_beyond_the_limit_are_counted(data):
    images = by_name(data)["images"]
    case = prepare_case(images, images.cases[0], ObjectSelection(limit=1))
    assert sum(len(v.objects) for v in case.views) == 1
    assert (case.tiny, case.left_out) == (1, 1)


def test_a_volume_is_cut_across_its_coarsest_axis(data):
    volumes = by_name(data)["volumes"]
    case = prepare_case(volumes, volumes.cases[0], ObjectSelection())
    assert [o.name for v in case.views for o in v.objects] == ["1@x5", "2@x11"]
    loaded = volumes.cases[0].load()
    for view, index in zip(case.views, (5, 11), strict=True):
        assert view.image.shape == (20, 24)
        assert view.image.geometry.array_spacing == (1.0, 1.0)
        np.testing.assert_array_equal(view.image.array, loaded.image.array[:, :, index])


def test_another_axis_can_be_chosen_and_slices_are_shared(data):
    volumes = by_name(data)["volumes"]
    case = prepare_case(volumes, volumes.cases[0], ObjectSelection(slice_axis="z"))
    assert [o.name for v in case.views for o in v.objects] == ["1@z8", "2@z13"]
    assert case.views[0].image.geometry.array_spacing == (1.0, 3.0)


def test_a_volume_can_stay_whole(data):
    volumes = by_name(data)["volumes"]
    (view,) = prepare_case(volumes, volumes.cases[0], ObjectSelection(volumes="whole")).views
    assert view.image.shape == (20, 24, 16)
    assert [o.name for o in view.objects] == ["1", "2"]


def test_within_places_the_mask():
    target = TargetObject("1", 1, Region((2, 3), (4, 5)), np.ones((2, 2), np.bool_))
    placed = target.within(Region((1, 3), (6, 6)))
    assert placed.shape == (5, 3)
    assert placed[1:3, 0:2].all()
    assert placed.sum() == 4


def test_a_selection_of_nothing_is_rejected():
    with pytest.raises(InputError):
        ObjectSelection(limit=0)
