from __future__ import annotations

import numpy as np
import pytest

from bedside.challenge.cases import Preparation, make_case
from bedside.challenge.intensity import WINDOWS
from bedside.challenge.labels import CLEANINGS
from bedside.core.errors import InputError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.prompts import Box


@pytest.fixture
def scan():
    generator = np.random.default_rng(0)
    labels = np.zeros((12, 40, 60), np.uint16)
    labels[2:9, 5:20, 10:30] = 12
    labels[4:11, 22:38, 30:58] = 7
    array = generator.normal(0, 20, labels.shape).astype(np.int16) + np.where(labels > 0, 100, -500).astype(np.int16)
    return Image(array, Geometry.create(array.shape, (0.8, 0.9, 3.0))), labels


def test_a_volume_for_2024(scan):
    case = make_case("p1", *scan, Preparation("box2024", "CT", "Study"))
    assert case.name == "3DBox_CT_Study_p1"
    # Slices 2 to 10 hold labels, and the values became 1 and 2.
    assert case.image.array.shape == (9, 40, 60)
    assert case.image.array.dtype == np.uint8
    assert case.image.geometry.spacing == (0.8, 0.9, 3.0)
    assert np.unique(case.ground_truth).tolist() == [0, 1, 2]
    assert case.boxes == (Box((30, 22, 2), (58, 38, 9)), Box((10, 5, 0), (30, 20, 7)))
    assert case.image.array[case.ground_truth > 0].min() > 120


def test_options_for_2024(scan):
    options = {"labelled_only": False, "dropped": (12,), "boxes": False, "window": WINDOWS["lung"]}
    case = make_case("p1", *scan, Preparation("box2024", "CT", "Study", **options))
    assert case.name == "CT_Study_p1"
    assert case.image.shape == (12, 40, 60)
    # Without boxes, as in the official training data, labels keep their values.
    assert np.unique(case.ground_truth).tolist() == [0, 7]
    assert case.boxes == ()
    with pytest.raises(InputError, match="none left after cleaning"):
        make_case("p1", *scan, Preparation("box2024", "CT", dropped=(7, 12)))


def test_other_modalities_are_cut_at_percentiles(scan):
    image, labels = scan
    moved = Image(image.array - image.array.min(), image.geometry)
    case = make_case("p", moved, labels, Preparation("box2024", "MR"))
    assert case.image.array.max() == 255
    assert case.image.array.min() == 0


def test_a_picture_for_2024():
    labels = np.zeros((20, 30), np.uint16)
    labels[2:4, 5:9] = 5
    image = Image.from_array(np.full((20, 30), 9, np.uint8))
    case = make_case("a", image, labels, Preparation("box2024", "Fundus"))
    assert case.name == "2DBox_Fundus_data_a"
    assert case.image.array.shape == (20, 30, 3)
    assert case.boxes == (Box((5, 2), (9, 4)),)
    with pytest.raises(InputError, match="no 2D images"):
        make_case("a", image, labels, Preparation("interactive2025", "Fundus"))


def test_a_volume_for_2025_depends_on_the_seed_only(scan):
    preparation = Preparation("interactive2025", "CT", "Study", cleaning=CLEANINGS["none"], seed=1)
    case = make_case("p1", *scan, preparation)
    assert case.name == "CT_Study_p1"
    assert case.middle_slices == (2 + 7 // 2, 0 + 7 // 2)
    assert [(b.low[2], b.high[2]) for b in case.boxes] == [(2, 9), (0, 7)]
    assert make_case("p1", *scan, preparation).boxes == case.boxes
    image, labels = scan
    wide = Image(np.tile(image.array, (1, 1, 6)), Geometry.create((12, 40, 360), (1, 1, 1)))
    seeds = {
        make_case("p1", wide, np.tile(labels, (1, 1, 6)), Preparation("interactive2025", "CT", seed=s)).boxes
        for s in range(12)
    }
    assert len(seeds) > 1


def test_boxes_can_be_left_out_and_instances_split(scan):
    image, labels = scan
    labels[2:9, 25:38, 2:20] = 12
    preparation = Preparation("interactive2025", "CT", cleaning=CLEANINGS["none"], instances=12, boxes=False)
    case = make_case("p1", image, labels, preparation)
    assert case.boxes == ()
    assert np.unique(case.ground_truth).tolist() == [0, 1, 2, 3]
