"""Segmentations of every form are opened onto an image as objects to go on with, and saved in every form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bedside.core.errors import BedsideError, FormatError, InputError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.prompts import InitialMask
from bedside.io import read_image, write_image, write_mask
from bedside.io.dicom.segments import Segment, SegmentSet
from bedside.io.segmentations import read_segments
from bedside.session import Session
from bedside.session.segmentations import MOST_OBJECTS
from tests.support.dicom_sources import write_series
from tests.support.moved_patient import Patient, grid_around, motion_of, picture

SHAPE = (4, 9, 11)
# Form, suffix, and whether names and colours outlive it.
FORMS: list[tuple[str | None, str, bool, bool]] = [
    (None, "a.nii.gz", False, False),
    (None, "a.nrrd", True, False),
    (None, "a.seg.nrrd", True, False),
    (None, "a.mha", False, False),
    (None, "a.tif", False, False),
    (None, "a.npz", False, False),
    ("dicom-seg", "a.dcm", True, True),
    ("rtstruct", "b.dcm", True, True),
]
NAMES = ["liver", "tumour in it"]
COLOURS = ["#c83232", "#32c832"]


@pytest.fixture
def ct(tmp_path: Path) -> Image:
    write_series(tmp_path / "ct", SHAPE, spacing=(0.7, 0.8, 2.5), origin=(-30, 40, 1000))
    return read_image(tmp_path / "ct")


@pytest.fixture
def masks() -> list[NDArray[np.uint8]]:
    first, second = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    first[1:3, 2:7, 2:8] = 1
    first[1, 4, 4] = 0
    second[3, 0, 0] = second[0, 8, 10] = 1
    return [first, second]


@pytest.fixture
def session(ct: Image, masks: list[NDArray[np.uint8]], grower: Any) -> Session:
    made = Session(ct, segmenter=grower)
    for name, colour, label, mask in zip(NAMES, COLOURS, (3, 7), masks, strict=True):
        made.add_object(name, colour, label)
        made.set_mask(mask)
    return made


def another(ct: Image, grower_class: Any) -> Session:
    return Session(ct, segmenter=grower_class())


@pytest.mark.parametrize(("form", "name", "named", "coloured"), FORMS)
def test_what_is_saved_in_any_form_is_opened_and_gone_on_with(
    session: Session, ct: Image, masks: Any, tmp_path: Path, grower_class: Any,
    form: Any, name: str, named: bool, coloured: bool,
) -> None:  # fmt: skip
    if form is not None:
        pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
    path = tmp_path / "saved" / name
    path.parent.mkdir()
    notes = session.save_segmentation(path, form=form)
    assert any("no place for names" in note for note in notes) == (not named)
    opened = another(ct, grower_class)
    result = opened.open_segmentation(path)
    assert result.objects == (1, 2)
    labels = [1, 2] if form == "dicom-seg" else [3, 7]
    assert [o.label for o in opened.objects] == labels
    assert [o.name for o in opened.objects] == (NAMES if named else [f"segment {n}" for n in labels])
    for item, colour, mask in zip(opened.objects, COLOURS, masks, strict=True):
        np.testing.assert_array_equal(opened.mask_of(item.id), mask)
        if coloured:
            assert item.colour is not None
            pairs = zip(bytes.fromhex(item.colour[1:]), bytes.fromhex(colour[1:]), strict=True)
            assert all(abs(a - b) <= 1 for a, b in pairs)
    # The network goes on from what was opened.
    current = opened.current
    assert current is not None
    assert current.id == 1
    opened.add_point((5, 0, 3))
    assert opened.segmenter.calls == [1]  # type: ignore[attr-defined]
    assert np.all(opened.mask >= masks[0])
    assert opened.mask.sum() > masks[0].sum()
    # The journal holds it: it is replayed, undone and put back.
    opened.save(tmp_path / "j.json")
    again = Session.load(tmp_path / "j.json", ct, segmenter=grower_class())
    assert [(o.name, o.label, o.colour) for o in again.objects] == [(o.name, o.label, o.colour) for o in opened.objects]
    for number, mask in opened.masks.items():
        np.testing.assert_array_equal(again.mask_of(number), mask)
    again.undo(1)
    np.testing.assert_array_equal(again.mask_of(1), masks[0])
    again.undo(1)
    assert not again.mask_of(1).any()
    again.redo(1)
    np.testing.assert_array_equal(again.mask_of(1), masks[0])


def test_pictures_of_labels(grower: Any, squares: NDArray[np.uint8], tmp_path: Path) -> None:
    labels = np.where(squares == 200, 4, np.where(squares == 120, 9, 0)).astype(np.uint8)
    write_mask(tmp_path / "a.png", labels, Geometry.create(labels.shape))
    session = Session(squares, segmenter=grower)
    result = session.open_segmentation(tmp_path / "a.png")
    assert ([o.label for o in session.objects], result.region.start, result.region.stop) == ([4, 9], (5, 10), (33, 48))
    np.testing.assert_array_equal(session.label_map(), labels)


def test_numbers_that_are_taken_stay_with_who_has_them(session: Session, ct: Image, masks: Any, tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[0, 0, 0], labels[0, 0, 1], labels[0, 0, 2] = 3, 5, 8
    write_mask(tmp_path / "a.nrrd", labels, ct.geometry, {3: "spleen", 5: "aorta", 8: "vein"})
    result = session.open_segmentation(tmp_path / "a.nrrd")
    assert [(o.name, o.label) for o in session.objects] == [
        *zip(NAMES, (3, 7), strict=True),
        ("spleen", 9),
        ("aorta", 5),
        ("vein", 8),
    ]
    assert result.objects == (3, 4, 5)
    assert result.notes == ("'spleen' has the number 9: 3 is taken",)
    np.testing.assert_array_equal(session.mask_of(1), masks[0])
    # Prompts go on being numbered after all of them.
    session.add_point((5, 0, 3), object_id=5)
    assert [p.id for o in session.objects for p in o.prompts] == [1, 2, 3, 4, 5, 6]


def test_overlapping_objects_stay_whole_or_are_parted_by_the_policy(
    session: Session, ct: Image, tmp_path: Path
) -> None:
    pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
    session.select(2)
    session.set_mask(session.mask_of(1), object_id=2)
    whole, parted = tmp_path / "whole.dcm", tmp_path / "parted.dcm"
    session.save_segmentation(whole)
    session.save_segmentation(parted, seg_type="labelmap", policy="overwrite")
    counts = [[int(s.patch.sum()) for s in read_segments(path, ct).segments] for path in (whole, parted)]
    assert counts[0] == [59, 59]
    assert sum(counts[1]) == 59
    notes = session.save_segmentation(tmp_path / "one.nrrd")
    assert notes == ("'liver' and 'tumour in it' overlap, and the first has their voxels",)


def test_segments_without_voxels_are_objects_without_a_mask(ct: Image, grower: Any) -> None:
    session = Session(ct, segmenter=grower)
    empty = Segment.of_mask(2, "not seen", np.zeros(SHAPE, np.uint8))
    full = Segment.of_mask(1, "\n strange\x00 name \t", np.ones(SHAPE, np.uint8))
    session.take_segments(SegmentSet((empty, full), ct.geometry))
    assert [(o.name, o.label, o.voxels, o.can_undo) for o in session.objects] == [
        ("not seen", 2, 0, False),
        ("strange name", 1, int(np.prod(SHAPE)), True),
    ]


def _grey(folder: Path, ct: Image) -> Path:
    noise = np.random.default_rng(3).integers(0, 200, SHAPE).astype(np.int16)
    write_image(folder / "x.nii.gz", replace(ct, array=noise))
    return folder / "x.nii.gz"


def _other_shape(folder: Path, ct: Image) -> Path:
    del ct
    write_mask(folder / "x.npz", np.ones((4, 9, 12), np.uint8), Geometry.create((4, 9, 12)))
    return folder / "x.npz"


def _elsewhere(folder: Path, ct: Image) -> Path:
    grid = Geometry.create(SHAPE, ct.geometry.spacing, (500, 500, 500))
    write_mask(folder / "x.nii.gz", np.ones(SHAPE, np.uint8), grid)
    return folder / "x.nii.gz"


def _nothing(folder: Path, ct: Image) -> Path:
    write_mask(folder / "x.mha", np.zeros(SHAPE, np.uint8), ct.geometry)
    return folder / "x.mha"


def _too_many(folder: Path, ct: Image) -> Path:
    labels = np.zeros((1, 1, 2 * MOST_OBJECTS + 4), np.uint16)
    labels[..., ::2] = np.arange(MOST_OBJECTS + 2)
    write_mask(folder / "x.nii", labels, Geometry.create(labels.shape, ct.geometry.spacing, ct.geometry.origin))
    return folder / "x.nii"


def _another_patient(folder: Path, ct: Image) -> Path:
    pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
    write_series(folder / "other", SHAPE, spacing=(0.7, 0.8, 2.5), origin=(-30, 40, 1000))
    other = read_image(folder / "other")
    made = SegmentSet((Segment.of_mask(1, "liver", np.ones(SHAPE, np.uint8)),), other.geometry)
    from bedside.io.segmentations import write_segments

    write_segments(folder / "x.dcm", made, other, form="dicom-seg")
    return folder / "x.dcm"


WRONG: list[tuple[Callable[[Path, Image], Path], type[BedsideError], str]] = [
    (_grey, FormatError, "the grey values of an image"),
    (_other_shape, InputError, r"expected shape \(4, 9, 11\), got \(4, 9, 12\)"),
    (_elsewhere, InputError, "lies outside the image"),
    (_nothing, InputError, "expected 1 to 1,000 labels, got none"),
    (_too_many, InputError, "expected 1 to 1,000 labels, got 1,0"),
    (_another_patient, FormatError, "another frame of reference"),
    (lambda folder, _: folder / "missing.nii.gz", FormatError, "missing.nii.gz"),
]


@pytest.mark.parametrize(("make", "kind", "message"), WRONG)
def test_what_does_not_belong_to_the_image_is_rejected_and_changes_nothing(
    session: Session, ct: Image, tmp_path: Path, make: Any, kind: Any, message: str
) -> None:
    before = session.journal
    with pytest.raises(kind, match=message):
        session.open_segmentation(make(tmp_path, ct))
    assert session.journal == before


def test_dicom_objects_are_saved_of_dicom_images_alone(grower: Any, squares: NDArray[np.uint8], tmp_path: Path) -> None:
    session = Session(squares, segmenter=grower)
    with pytest.raises(InputError, match="nothing to save"):
        session.save_segmentation(tmp_path / "a.png")
    session.set_mask(squares == 200)
    for form in ("dicom-seg", "rtstruct"):
        with pytest.raises(InputError, match="an image read from DICOM files"):
            session.save_segmentation(tmp_path / "a.dcm", form=form)
    assert list(tmp_path.iterdir()) == []
    assert all(isinstance(p.prompt, InitialMask) for o in session.objects for p in o.prompts)


def test_a_list_of_labels_names_what_there_is_and_begins_the_rest(
    session: Session, ct: Image, tmp_path: Path, grower_class: Any, masks: Any
) -> None:
    (tmp_path / "labels.json").write_text(
        '[{"label": 7, "name": "spleen"}, {"label": 2, "name": "aorta", "colour": "#010203"}]'
    )
    result = session.open_segmentation(tmp_path / "labels.json")
    assert (result.objects, result.region.is_empty) == ((3,), True)
    assert [(o.name, o.label, o.colour) for o in session.objects] == [
        ("liver", 3, COLOURS[0]),
        ("spleen", 7, COLOURS[1]),
        ("aorta", 2, "#010203"),
    ]
    np.testing.assert_array_equal(session.mask_of(2), masks[1])
    # A session that begins with it has its objects, and prompts go to the first.
    fresh = another(ct, grower_class)
    fresh.open_segmentation(tmp_path / "labels.json")
    fresh.add_point((5, 0, 3))
    assert [(o.label, o.name, o.voxels > 0) for o in fresh.objects] == [(7, "spleen", True), (2, "aorta", False)]


def test_masks_of_a_prior_are_objects_to_go_on_with(tmp_path: Path) -> None:
    patient, truth = Patient.draw(3, 3), motion_of(3, 6, 12, 3)
    image, lesion = picture(patient, grid_around((30, 44, 44), (3.0, 3.0, 4.0)), np.eye(4), 1)
    prior, drawn = picture(patient, grid_around((44, 44, 44), (2.8, 2.8, 2.8)), truth, 2)
    far = np.zeros_like(drawn)
    far[0, 0, 0] = 1
    write_mask(tmp_path / "drawn.nii.gz", np.where(drawn, 2, np.where(far, 5, 0)).astype(np.uint8), prior.geometry)
    session = Session(image)
    opened = session.open_segmentation(tmp_path / "drawn.nii.gz", prior=prior)
    assert [session.objects[n].label for n in range(2)] == [2, 5]
    assert "moved by 1" in opened.notes[-1]
    assert any("outside the image, and empty there: 'segment 5'" in note for note in opened.notes)
    mask = session.mask_of(opened.objects[0])
    assert 2 * np.sum((mask > 0) & (lesion > 0)) / (mask.sum() + lesion.sum()) > 0.85
    session.undo(opened.objects[0])
    assert session.mask_of(opened.objects[0]).sum() == 0
