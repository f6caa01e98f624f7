"""``bedside convert`` and DICOM objects of ``bedside segment``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.io import read_image, read_mask, write_image, write_mask
from bedside.io.segmentations import read_segments
from tests.support.dicom_sources import PLANTED, write_picture, write_series
from tests.support.moved_patient import Patient, grid_around, motion_of, overlap, picture, write_visits

pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")

Cli = Callable[..., Any]
SHAPE = (4, 9, 11)
FORMS = ["a.nii.gz", "a.nrrd", "a.mha", "a.tif", "a.npz", "seg.dcm", "labelmap.dcm", "rtstruct.dcm"]
OPTIONS = {"labelmap.dcm": ["--seg-type", "labelmap"], "rtstruct.dcm": ["--format", "rtstruct"]}


@pytest.fixture
def labels() -> NDArray[np.uint8]:
    made = np.zeros(SHAPE, np.uint8)
    made[1:3, 2:7, 2:8] = 1
    made[1, 4, 4] = 0
    made[3, 0, 0] = made[0, 8, 10] = 2
    return made


@pytest.fixture
def ct(tmp_path: Path) -> Path:
    write_series(tmp_path / "ct", SHAPE, spacing=(0.7, 0.8, 2.5), origin=(-30, 40, 1000))
    return tmp_path / "ct"


WAYS = [*product(FORMS[:1], FORMS), *product(FORMS[-3:], FORMS), ("a.tif", "seg.dcm")]


@pytest.mark.parametrize(("before", "after"), WAYS)
def test_every_form_becomes_every_other(
    cli: Cli, tmp_path: Path, ct: Path, labels: NDArray[np.uint8], before: str, after: str
) -> None:
    write_mask(tmp_path / "start.nii.gz", labels, read_image(ct).geometry)
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    first, second = tmp_path / "in" / before, tmp_path / "out" / after
    for mask, output, name in ((tmp_path / "start.nii.gz", first, before), (first, second, after)):
        status, out, err = cli("convert", mask, output, "--image", ct, "--name", "1=liver", *OPTIONS.get(name, []))
        kept = output.name.endswith((".dcm", ".nrrd"))
        assert (status, err.count("\n")) == (0, 0 if kept else 1)
        assert ("has no place for names, so 'liver' is not in the file" in err) == (not kept)
        assert f"1 liver: {int((labels == 1).sum())} voxels" in out
    found = read_segments(second, read_image(ct))
    np.testing.assert_array_equal(found.label_map(), labels)
    assert found.segments[0].name == ("liver" if after.endswith((".dcm", ".nrrd")) else "segment 1")


def test_read_mask_and_initial_masks_take_dicom_objects(
    cli: Cli, tmp_path: Path, ct: Path, labels: NDArray[np.uint8], grower: Any
) -> None:
    image = read_image(ct)
    write_mask(tmp_path / "a.nii.gz", labels == 1, image.geometry)
    assert cli("convert", tmp_path / "a.nii.gz", tmp_path / "a.dcm", "--image", ct).status == 0
    np.testing.assert_array_equal(read_mask(tmp_path / "a.dcm", reference=image).array, labels == 1)
    options = ["--point", "4,4,1", "--initial-mask", tmp_path / "a.dcm", "-o", tmp_path / "b.nii.gz"]
    status, _, err = cli("segment", ct, *options)
    assert (status, err) == (0, "")


@pytest.mark.parametrize("options", [[], ["--format", "dicom-seg", "--seg-type", "labelmap"], ["--format", "rtstruct"]])
def test_segment_writes_dicom(cli: Cli, tmp_path: Path, ct: Path, grower: Any, options: list[str]) -> None:
    output = tmp_path / "liver.dcm"
    arguments = ["segment", ct, "-o", output, "--box", "2,2,1,8,7,3", "--name", "liver"]
    assert cli(*arguments[:2], "-o", tmp_path / "same.nii.gz", *arguments[4:6]).status == 0
    status, _, err = cli(*arguments, *options)
    assert (status, err) == (0, "")
    found = read_segments(output, read_image(ct))
    assert [(s.name, s.coded.type.meaning) for s in found.segments] == [("liver", "Liver")]
    np.testing.assert_array_equal(found.label_map(), read_mask(tmp_path / "same.nii.gz").array)
    assert found.segments[0].algorithm is not None
    assert "Bedside bedside-3d" in found.segments[0].algorithm.name


def test_segment_writes_dicom_of_one_frame_of_a_film_loop(cli: Cli, tmp_path: Path, grower: Any) -> None:
    loop = write_picture(tmp_path / "loop.dcm", "US loop", (3, 20, 30))
    status, _, err = cli("segment", loop, "-o", tmp_path / "seg.dcm", "--box", "3,3,9,9", "--volume", "1")
    assert (status, err) == (0, "")
    frame = pydicom.dcmread(tmp_path / "seg.dcm").PerFrameFunctionalGroupsSequence[0]
    assert int(frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber) == 2


class TestRejected:
    @pytest.fixture
    def mask(self, tmp_path: Path, ct: Path, labels: NDArray[np.uint8]) -> Path:
        write_mask(tmp_path / "a.nii.gz", labels, read_image(ct).geometry)
        return tmp_path / "a.nii.gz"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["b.dcm"], "b.dcm: expected the DICOM image that the mask belongs to; give it with --image"),
            (["b.nii.gz", "--format", "rtstruct"], "expected an output that ends in .dcm, got"),
            (["b.xyz"], "cannot write this format"),
            (["nowhere/b.nrrd"], "expected an existing folder to write to"),
            (["a.nii.gz"], "inputs are never overwritten"),
            (["b.nrrd", "--name", "liver"], "--name: expected LABEL=NAME"),
            (["b.dcm", "--image", "ct", "--seg-type", "fractional"], "fractional"),
            (["ct/IM0001.dcm", "--image", "ct"], "they are never overwritten"),
        ],
    )
    def test_one_line_and_nothing_written(
        self, cli: Cli, tmp_path: Path, mask: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        before = {p: p.read_bytes() for p in sorted(tmp_path.rglob("*")) if p.is_file()}
        status, out, err = cli("convert", mask.name, *arguments)
        assert (status, out) == (2, "")
        assert message in err
        assert err.count("\n") == 1
        assert {p: p.read_bytes() for p in sorted(tmp_path.rglob("*")) if p.is_file()} == before

    def test_an_image_in_place_of_a_mask(self, cli: Cli, tmp_path: Path, ct: Path, grower: Any) -> None:
        image = read_image(ct)
        noise = np.random.default_rng(3).integers(0, 200, image.shape).astype(np.int16)
        write_image(tmp_path / "grey.nii.gz", replace(image, array=noise))
        (tmp_path / "older.nrrd").write_bytes(b"older")
        grey, output = tmp_path / "grey.nii.gz", tmp_path / "older.nrrd"
        for arguments in (
            ["convert", grey, output],
            ["segment", ct, "-o", output, "--point", "4,4,1", "--initial-mask", grey],
            ["segment", ct, "-o", output, "--scribble", grey],
        ):
            status, out, err = cli(*arguments)
            assert (status, out, err.count("\n")) == (2, "", 1)
            assert "labels: expected" in err
            assert (tmp_path / "older.nrrd").read_bytes() == b"older"
        assert grower.calls == []

    def test_a_mask_without_labels_is_said_to_be_empty(self, cli: Cli, tmp_path: Path, ct: Path) -> None:
        image = read_image(ct)
        write_mask(tmp_path / "a.nii.gz", np.zeros(image.shape, np.uint8), image.geometry)
        status, _, err = cli("convert", tmp_path / "a.nii.gz", tmp_path / "b.nrrd")
        assert status == 0
        assert err.startswith("bedside: warning: ")
        assert "a.nii.gz holds no label" in err

    def test_contours_without_an_image(self, cli: Cli, tmp_path: Path, ct: Path, mask: Path) -> None:
        assert cli("convert", mask, tmp_path / "rt.dcm", "--image", ct, "--format", "rtstruct").status == 0
        status, _, err = cli("convert", tmp_path / "rt.dcm", tmp_path / "b.nrrd")
        assert status == 2
        assert "contours have no grid of their own: expected the image that they lie in; give --image" in err

    def test_a_picture_of_another_size(self, cli: Cli, tmp_path: Path, ct: Path) -> None:
        from bedside.core.geometry import Geometry

        write_mask(tmp_path / "a.npz", np.ones((4, 9, 12), np.uint8), Geometry.create((4, 9, 12)))
        status, _, err = cli("convert", tmp_path / "a.npz", tmp_path / "b.dcm", "--image", ct)
        assert status == 2
        assert "says no place of its voxels: expected shape (4, 9, 11), got (4, 9, 12)" in err

    def test_a_model_is_not_run_for_what_cannot_be_written(
        self, cli: Cli, tmp_path: Path, scan: Path, grower: Any
    ) -> None:
        status, _, err = cli("segment", scan, "-o", tmp_path / "a.dcm", "--box", "1,1,1,3,3,3")
        assert status == 2
        assert "expected an image read from DICOM files" in err
        assert grower.calls == []


def test_nothing_printed_tells_of_the_patient(cli: Cli, tmp_path: Path, ct: Path, labels: NDArray[np.uint8]) -> None:
    write_mask(tmp_path / "a.nii.gz", labels, read_image(ct).geometry)
    outputs = [tmp_path / "b.dcm", tmp_path / "c.dcm", tmp_path / "d.nrrd", tmp_path / "e.png"]
    said = ""
    for before, output, options in (
        (tmp_path / "a.nii.gz", outputs[0], []),
        (outputs[0], outputs[1], ["--format", "rtstruct"]),
        (outputs[1], outputs[2], []),
        (outputs[1], outputs[3], []),
    ):
        _, out, err = cli("convert", before, output, "--image", ct, *options)
        said += out + err
    assert "wrote" in said
    assert "cannot hold 3 axes" in said
    hidden = [part for value in PLANTED.values() for part in re.split(r"\^", value)]
    assert not [part for part in hidden if part.lower() in said.lower()]


def test_a_mask_of_an_earlier_visit_is_carried_over(cli: Cli, tmp_path: Path) -> None:
    image, lesion = write_visits(tmp_path, label=3)
    out = tmp_path / "carried.nrrd"
    options = ("--image", tmp_path / "now.nii.gz", "--from", tmp_path / "before.nii.gz", "--name", "3=lesion")
    status, told, err = cli("convert", tmp_path / "drawn.nii.gz", out, *options)
    assert status == 0, err
    assert re.search(r"the prior was moved by 1[12]\.\d mm and turned by [56]\.\d degrees", err)
    assert "3 lesion:" in told
    carried = read_mask(out)
    assert carried.geometry.matches(image.geometry)
    assert set(np.unique(carried.array)) == {0, 3}
    by_place = tmp_path / "by-place.nrrd"
    assert cli("convert", tmp_path / "drawn.nii.gz", by_place, *options[:2])[0] == 0
    assert overlap(carried.array, lesion) > 0.85 > overlap(read_mask(by_place).array, lesion)


def test_a_prior_needs_an_image_and_is_never_overwritten(cli: Cli, tmp_path: Path) -> None:
    image, drawn = picture(Patient.draw(3, 3), grid_around((10, 12, 12), (9.0, 9.0, 9.0)), np.eye(4), 1)
    write_image(tmp_path / "now.nii.gz", image)
    write_mask(tmp_path / "drawn.nii.gz", drawn, image.geometry)
    prior = tmp_path / "before.nii.gz"
    write_image(prior, image)
    before = prior.read_bytes()
    status, _, err = cli("convert", tmp_path / "drawn.nii.gz", tmp_path / "out.nii.gz", "--from", prior)
    assert (status, err.count("\n")) == (2, 1)
    assert "--image" in err
    status, _, err = cli(
        "convert", tmp_path / "drawn.nii.gz", prior, "--from", prior, "--image", tmp_path / "now.nii.gz"
    )
    assert (status, err.count("\n")) == (2, 1)
    assert prior.read_bytes() == before


@pytest.mark.parametrize("known", [True, False])
def test_a_mask_of_a_picture_moves_with_it_whether_its_spacing_is_known_or_not(
    cli: Cli, tmp_path: Path, known: bool
) -> None:
    patient, truth = Patient.draw(3, 2), motion_of(5, 7, 9, 2)
    size = (1.0, 1.0)
    now, lesion = picture(patient, grid_around((180, 180), size), np.eye(3), 1)
    before, drawn = picture(patient, grid_around((180, 180), size), truth, 2)
    suffix = "nrrd" if known else "png"
    for name, image in (("now", now), ("before", before)):
        # Without a spacing the first pixel is the origin; the motion is then one of the pixels, and turns as much.
        grid = image.geometry if known else Geometry.create(image.shape)
        write_image(tmp_path / f"{name}.{suffix}", Image((image.array + 60).clip(0, 255).astype(np.uint8), grid))
    write_mask(tmp_path / f"drawn.{suffix}", drawn, before.geometry if known else Geometry.create(before.shape))
    out = tmp_path / f"out.{suffix}"
    given = ("--from", tmp_path / f"before.{suffix}", "--image", tmp_path / f"now.{suffix}")
    status, _, err = cli("convert", tmp_path / f"drawn.{suffix}", out, *given)
    assert status == 0, err
    assert re.search(r"turned by [67]\.\d degrees", err)
    assert overlap(drawn, lesion) < 0.7
    assert overlap(read_mask(out).array, lesion) > 0.85


def test_priors_that_lie_far_off_are_found_by_their_middle(cli: Cli, tmp_path: Path) -> None:
    _, lesion = write_visits(tmp_path)
    for name in ("before.nii.gz", "drawn.nii.gz"):
        image = read_image(tmp_path / name)
        away = replace(image.geometry, origin=tuple(o + 400.0 for o in image.geometry.origin), nifti=None)
        write_image(tmp_path / name, replace(image, geometry=away))
    given = ("--from", tmp_path / "before.nii.gz", "--image", tmp_path / "now.nii.gz")
    status, _, err = cli("convert", tmp_path / "drawn.nii.gz", tmp_path / "out.nii.gz", *given)
    assert status == 0, err
    assert overlap(read_mask(tmp_path / "out.nii.gz").array, lesion) > 0.85


def test_a_prior_of_several_volumes_is_chosen_by_options_of_its_own(cli: Cli, tmp_path: Path, ct: Path) -> None:
    _, lesion = write_visits(tmp_path)
    before = nibabel.load(tmp_path / "before.nii.gz")
    samples = np.asarray(before.dataobj)
    both = np.stack([np.random.default_rng(0).normal(size=samples.shape).astype(samples.dtype), samples], axis=-1)
    nibabel.save(nibabel.Nifti1Image(both, before.affine), tmp_path / "both.nii.gz")
    given = ("convert", tmp_path / "drawn.nii.gz", tmp_path / "out.nii.gz", "--image", tmp_path / "now.nii.gz")
    status, _, err = cli(*given, "--from", tmp_path / "both.nii.gz")
    assert (status, err.count("\n")) == (2, 1)
    assert "--from-volume 0 to 1" in err
    status, _, err = cli(*given, "--from", tmp_path / "both.nii.gz", "--from-volume", 1)
    assert status == 0, err
    assert overlap(read_mask(tmp_path / "out.nii.gz").array, lesion) > 0.85
    assert cli(*given, "--from-volume", 1).status == 2
    slice_of_it = next(ct.glob("*.dcm"))
    content = slice_of_it.read_bytes()
    status, _, err = cli("convert", tmp_path / "drawn.nii.gz", slice_of_it, *given[3:], "--from", ct)
    assert status == 2
    assert "never overwritten" in err
    assert slice_of_it.read_bytes() == content
    (tmp_path / "labels.json").write_text('[{"label": 1, "name": "liver"}]')
    status, _, err = cli("convert", tmp_path / "labels.json", *given[2:], "--from", tmp_path / "before.nii.gz")
    assert status == 2
