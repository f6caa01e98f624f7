"""Exported files, read by other libraries, hold what the workspace holds."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray
from PIL import Image as Picture

from bedside.core.errors import InputError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.mask import PackedMask
from bedside.core.region import Region
from bedside.io import read_image
from bedside.io.label_lists import read_label_list
from bedside.session.workspace import Workspace
from bedside.worklist.export import RECORD, Outcome, export
from bedside.worklist.layouts import LAYOUTS
from bedside.worklist.measures import longest_diameter
from bedside.worklist.outlines import outlines
from bedside.worklist.training import prepare_training
from tests.worklist.conftest import annotate, block

LAYOUT_NAMES = [name for name, _ in LAYOUTS.items()]


def write(workspace: Workspace, **options: Any) -> Outcome:
    return export(workspace, outlines(workspace), **options)


def contents(folder: Path) -> dict[str, str]:
    paths = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


def voxels(path: Path) -> NDArray[Any]:
    if path.suffix == ".png":
        return np.asarray(Picture.open(path))
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def masks_in(folder: Path) -> list[Path]:
    return sorted(
        p
        for p in folder.rglob("*")
        if p.is_file() and p.name.endswith((".nii.gz", ".png")) and "images" not in str(p.parent.name)
    )


@pytest.mark.parametrize("layout", LAYOUT_NAMES)
class TestEveryLayout:
    def test_masks_lie_where_the_images_lie(
        self, layout: str, workspace: Workspace, volumes: Path, tmp_path: Path
    ) -> None:
        outcome = write(workspace, layout=layout, folder=tmp_path / "out")
        assert (outcome.cases, outcome.failures) == (2, {})
        ct, mr = masks_in(tmp_path / "out")
        for path, source in ((ct, volumes / "ct"), (mr, volumes / "mr.nii.gz")):
            if source.is_dir():
                names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(source))
                image = sitk.ReadImage(names)
            else:
                image = sitk.ReadImage(str(source))
            mask = sitk.ReadImage(str(path))
            assert mask.GetSize() == image.GetSize()
            np.testing.assert_allclose(mask.GetOrigin(), image.GetOrigin(), atol=1e-4)
            np.testing.assert_allclose(mask.GetSpacing(), image.GetSpacing(), atol=1e-4)
            np.testing.assert_allclose(mask.GetDirection(), image.GetDirection(), atol=1e-5)
        liver, spleen = sorted(set(np.unique(voxels(mr))) - {0})
        np.testing.assert_array_equal(voxels(ct) == liver, block((5, 8, 9), (1, 3), (2, 6), (3, 8)))
        np.testing.assert_array_equal(voxels(mr) == spleen, block((4, 7, 6), (3, 4), (5, 7), (0, 2)))
        # nnU-Net alone asks for 1, 2, ...
        assert (liver, spleen) == ((1, 2) if layout == "nnunet" else (3, 7))

    def test_again_gives_the_same_files_and_no_others(
        self, layout: str, workspace: Workspace, volumes: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        write(workspace, layout=layout, folder=out)
        first = contents(out)
        (out / "mine.txt").write_text("mine")
        write(workspace, layout=layout, folder=out)
        assert contents(out) == {**first, "mine.txt": hashlib.sha256(b"mine").hexdigest()}
        outcome = export(workspace, outlines(workspace, done=True), layout=layout, folder=out)
        assert outcome.cases == len(masks_in(out)) == 1
        assert not any("mr" in name for name in contents(out))
        assert (out / "mine.txt").is_file()

    def test_an_image_that_cannot_be_read_keeps_what_was_made_of_it(
        self, layout: str, workspace: Workspace, volumes: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        write(workspace, layout=layout, folder=out)
        first = contents(out)
        (volumes / "mr.nii.gz").rename(volumes / "moved.nii.gz")
        for _ in range(2):
            outcome = write(workspace, layout=layout, folder=out)
            assert list(outcome.failures) == [str(volumes / "mr.nii.gz")]
            now = contents(out)
            assert now.keys() == first.keys()
            # Of the other image, and lists of all images, in another order.
            assert {name for name in now if now[name] != first[name]} <= {RECORD, "datalist.json"}
        for name in (n for n in first if n.endswith(("dataset.json", "datalist.json"))):
            assert json.loads((out / name).read_text())["numTraining"] == 2
        (volumes / "moved.nii.gz").rename(volumes / "mr.nii.gz")
        write(workspace, layout=layout, folder=out)
        assert contents(out) == first
        (volumes / "mr.nii.gz").unlink()
        (volumes / "ct").rename(volumes / "away")
        assert write(workspace, layout=layout, folder=out).cases == 0
        assert contents(out) == first

    def test_what_was_changed_since_is_not_replaced(
        self, layout: str, workspace: Workspace, volumes: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        write(workspace, layout=layout, folder=out)
        changed = masks_in(out)[0]
        changed.write_bytes(b"by hand")
        before = contents(out)
        with pytest.raises(InputError, match="changed since it was exported"):
            write(workspace, layout=layout, folder=out)
        assert contents(out) == before

    def test_pictures(self, layout: str, workspace: Workspace, pictures: Path, tmp_path: Path) -> None:
        assert write(workspace, layout=layout, folder=tmp_path / "out").cases == 2
        found = [np.squeeze(voxels(path)) for path in masks_in(tmp_path / "out")]
        assert [f.shape for f in found] == [(64, 72)] * 2
        union = sum(block((64, 72), (20 * c, 20 * c + 14), (10 + 15 * c, 26 + 15 * c)) for c in range(3)) > 0
        np.testing.assert_array_equal(found[0] > 0, union)
        # Trainers of structures get one class of what nobody named.
        assert set(np.unique(found[0])) == ({0, 1} if layout in ("nnunet", "monai") else {0, 1, 2, 3})


def test_nnunet_finds_its_files_by_the_numbers_that_it_asks_for(
    workspace: Workspace, volumes: Path, tmp_path: Path
) -> None:
    outcome = write(workspace, layout="nnunet", folder=tmp_path, name="Dataset612_Belly")
    made = tmp_path / "Dataset612_Belly"
    card = json.loads((made / "dataset.json").read_text())
    assert card["labels"] == {"background": 0, "liver": 1, "spleen": 2}
    assert card["file_ending"] == ".nii.gz"
    cases = sorted(p.name.removesuffix(".nii.gz") for p in (made / "labelsTr").iterdir())
    assert card["numTraining"] == len(cases) == 2
    expected = sorted(f"{c}_{int(n):04d}.nii.gz" for c in cases for n in card["channel_names"])
    assert sorted(p.name for p in (made / "imagesTr").iterdir()) == expected
    np.testing.assert_array_equal(
        np.asarray(nibabel.load(made / "imagesTr" / "ct_0000.nii.gz").dataobj).T, read_image(volumes / "ct").array
    )
    assert any("numbered by the names" in note for note in outcome.notes)


@pytest.mark.parametrize(
    ("layout", "card"), [("nnunet", "Dataset501_annotated/dataset.json"), ("monai", "datalist.json")]
)
class TestTrainers:
    """What layouts for trainers share: one list of values for all images."""

    def test_masks_whose_values_have_changed_are_not_mixed_with_those_of_before(
        self, layout: str, card: str, workspace: Workspace, volumes: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        write(workspace, layout=layout, folder=out)
        first = contents(out)
        mask = block((5, 8, 9), (4, 5), (2, 6), (3, 8))
        annotate(workspace, volumes / "ct", {"bladder": (1, mask), "liver": (9, mask)})
        (volumes / "mr.nii.gz").unlink()
        with pytest.raises(InputError, match="another folder"):
            write(workspace, layout=layout, folder=out)
        assert contents(out) == first

    def test_an_image_without_a_voxel_is_left_out(
        self, layout: str, card: str, workspace: Workspace, pictures: Path, volumes: Path, tmp_path: Path
    ) -> None:
        path = tmp_path / "empty.png"
        Picture.fromarray(np.zeros((64, 72, 3), np.uint8)).save(path)
        annotate(workspace, path, {"liver": (3, block((64, 72), (0, 0), (0, 0)))})
        found = [outlines(workspace)[-1], *outlines(workspace, folder=volumes)]
        table = tmp_path / "s.csv"
        outcome = export(workspace, found, layout=layout, folder=tmp_path / "out", statistics=table)
        assert outcome.cases == 2
        assert "without a mask" in outcome.failures.pop(str(path))
        assert not outcome.failures
        assert json.loads((tmp_path / "out" / card).read_text())["numTraining"] == 2
        assert [p.name for p in masks_in(tmp_path / "out")] == ["ct.nii.gz", "mr.nii.gz"]
        # A table has it, as one without a voxel.
        assert table.read_text().count("liver,0,") == 1

    def test_an_object_called_background_is_no_background(
        self, layout: str, card: str, workspace: Workspace, tmp_path: Path
    ) -> None:
        path = tmp_path / "grey.png"
        Picture.fromarray(np.arange(200, dtype=np.uint8).reshape(10, 20)).save(path)
        names = ("background", "background (object)")
        annotate(workspace, path, {n: (i, block((10, 20), (2 * i, 9), (3, 9))) for i, n in enumerate(names, start=1)})
        write(workspace, layout=layout, folder=tmp_path / "out")
        labels = json.loads((tmp_path / "out" / card).read_text())["labels"]
        by_name = labels if layout == "nnunet" else {name: int(value) for value, name in labels.items()}
        assert by_name == {"background": 0, "background (object) (object)": 1, "background (object)": 2}


def test_nnunet_takes_colours_as_channels_and_one_kind_alone(
    workspace: Workspace, pictures: Path, tmp_path: Path
) -> None:
    colours = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    Picture.fromarray(colours).save(pictures / "colour.png")
    annotate(workspace, pictures / "colour.png", {"object 1": (1, block((20, 30), (2, 9), (3, 9)))})
    outcome = write(workspace, layout="nnunet", folder=tmp_path / "all")
    assert list(outcome.failures) == [str(pictures / "colour.png")]
    assert "expected 2 axes and 1 channels" in outcome.failures[str(pictures / "colour.png")]
    only = outlines(workspace)[-1:]
    assert export(workspace, only, layout="nnunet", folder=tmp_path / "one").failures == {}
    images = sorted((tmp_path / "one" / "Dataset501_annotated" / "imagesTr").iterdir())
    np.testing.assert_array_equal(np.stack([voxels(p)[0] for p in images], axis=-1), colours)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:NvImgCodec")
def test_monai_reads_the_datalist(workspace: Workspace, volumes: Path, pictures: Path, tmp_path: Path) -> None:
    data = pytest.importorskip("monai.data")
    transforms = pytest.importorskip("monai.transforms")
    write(workspace, layout="monai", folder=tmp_path / "out")
    found = data.load_decathlon_datalist(str(tmp_path / "out" / "datalist.json"), data_list_key="training")
    assert len(found) == 4
    pair = transforms.LoadImaged(keys=["image", "label"])(found[0])
    np.testing.assert_array_equal(np.asarray(pair["image"]).T, read_image(volumes / "ct").array)
    assert pair["label"].shape == pair["image"].shape


def test_bids_names_follow_those_of_a_bids_file(workspace: Workspace, volumes: Path, tmp_path: Path) -> None:
    named = volumes / "sub-07_ses-b_T1w.nii.gz"
    image = nibabel.load(volumes / "mr.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj) + 1, image.affine), named)
    annotate(workspace, named, {"liver, left lobe": (2, block((4, 7, 6), (0, 2), (1, 3), (1, 4)))})
    write(workspace, layout="bids", folder=tmp_path / "out")
    place = tmp_path / "out" / "sub-07" / "ses-b" / "anat"
    assert (place / "sub-07_ses-b_desc-bedside_dseg.nii.gz").is_file()
    table = (place / "sub-07_ses-b_desc-bedside_dseg.tsv").read_text().splitlines()
    assert table == ["index\tname\tcolor", "2\tliver, left lobe\t#c83232"]
    assert json.loads((tmp_path / "out" / "dataset_description.json").read_text())["DatasetType"] == "derivative"


def test_beside_the_images_masks_get_the_names_of_their_images(
    workspace: Workspace, volumes: Path, tmp_path: Path
) -> None:
    (volumes / "other").mkdir()
    path = volumes / "other" / "mr.nii.gz"
    image = nibabel.load(volumes / "mr.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj) + 1, image.affine), path)
    annotate(workspace, path, {"liver": (3, block((4, 7, 6), (0, 2), (1, 3), (1, 4)))})
    found = outlines(workspace, apart=False)
    (volumes / "ct-labels.nii.gz").write_bytes(b"of another")
    outcome = export(workspace, found)
    assert outcome.cases == 2
    assert "a file of another" in outcome.failures[str(volumes / "ct")]
    assert (volumes / "ct-labels.nii.gz").read_bytes() == b"of another"
    assert (volumes / "other" / "mr-labels.nii.gz").is_file()
    listed = read_label_list(volumes / "mr-labels.json")
    assert [(e.label, e.name, e.colour) for e in listed] == [(3, "liver", "#c83232"), (7, "spleen", "#c83232")]


def test_other_formats_of_masks(workspace: Workspace, volumes: Path, tmp_path: Path) -> None:
    write(workspace, folder=tmp_path / "out", suffix=".seg.nrrd")
    image = sitk.ReadImage(str(tmp_path / "out" / "ct-labels.seg.nrrd"))
    assert image.GetMetaData("Segment0_Name") == "liver"
    with pytest.raises(InputError, match="--suffix"):
        write(workspace, layout="monai", folder=tmp_path / "more", suffix=".nrrd")


def test_names_decide_where_values_disagree(
    workspace: Workspace, volumes: Path, pictures: Path, tmp_path: Path
) -> None:
    annotate(workspace, volumes / "ct", {"spleen": (9, block((5, 8, 9), (4, 5), (2, 6), (3, 8)))})
    outcome = export(workspace, outlines(workspace, folder=volumes), layout="monai", folder=tmp_path / "out")
    card = json.loads((tmp_path / "out" / "datalist.json").read_text())
    values = {name: int(value) for value, name in card["labels"].items()}
    mask = voxels(tmp_path / "out" / "labelsTr" / "ct.nii.gz")
    np.testing.assert_array_equal(mask == values["spleen"], block((5, 8, 9), (4, 5), (2, 6), (3, 8)))
    assert any("numbered" in note for note in outcome.notes)


def test_only_what_is_done_or_in_a_folder(workspace: Workspace, volumes: Path, pictures: Path) -> None:
    assert [o.case for o in outlines(workspace, done=True)] == ["ct"]
    assert [o.case for o in outlines(workspace, folder=pictures)] == ["0", "1"]
    with pytest.raises(InputError, match="nothing to export"):
        export(workspace, outlines(workspace, folder=pictures / "none"))


def test_an_image_that_was_replaced_is_named(workspace: Workspace, pictures: Path, tmp_path: Path) -> None:
    Picture.fromarray(np.zeros((64, 72), np.uint8)).save(pictures / "0.png")
    outcome = write(workspace, folder=tmp_path / "out")
    assert outcome.cases == 1
    assert "another one by now" in outcome.failures[str(pictures / "0.png")]


def test_a_record_that_names_other_places_removes_nothing_there(
    workspace: Workspace, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    write(workspace, folder=out)
    outside = tmp_path / "outside.txt"
    outside.write_text("kept")
    record = json.loads((out / RECORD).read_text())
    record["files"]["../outside.txt"] = hashlib.sha256(b"kept").hexdigest()
    (out / RECORD).write_text(json.dumps(record))
    write(workspace, folder=out)
    assert outside.read_text() == "kept"


def test_training_data_of_an_image_that_cannot_be_read_stay(
    workspace: Workspace, volumes: Path, pictures: Path, tmp_path: Path
) -> None:
    for folder, lost in ((volumes, volumes / "mr.nii.gz"), (pictures, pictures / "0.png")):
        out = tmp_path / f"of-{folder.name}"
        found = outlines(workspace, folder=folder)
        assert prepare_training(workspace, found, out).cases == 2
        first = contents(out)
        lost.unlink()
        assert list(prepare_training(workspace, found, out).failures) == [str(lost)]
        assert contents(out).keys() == first.keys()
        (path,) = out.rglob("set.json")
        card = json.loads(path.read_text())
        assert sorted(f"{c['id']}.labels" for c in card["cases"]) == sorted(
            p.name.split(".")[0] + ".labels" for p in path.parent.glob("*.labels.*")
        )


class TestStatistics:
    def table(self, workspace: Workspace, path: Path) -> list[dict[str, str]]:
        write(workspace, statistics=path)
        with path.open(newline="") as file:
            return list(csv.DictReader(file))

    def test_as_simpleitk_measures(self, workspace: Workspace, volumes: Path, tmp_path: Path) -> None:
        rows = self.table(workspace, tmp_path / "s.csv")
        assert [r["name"] for r in rows] == ["liver", "liver", "spleen"]
        image = sitk.ReadImage(str(volumes / "mr.nii.gz"))
        mask = sitk.GetImageFromArray(block((4, 7, 6), (0, 2), (1, 3), (1, 4)))
        mask.CopyInformation(image)
        shape, grey = sitk.LabelShapeStatisticsImageFilter(), sitk.LabelStatisticsImageFilter()
        shape.Execute(mask)
        grey.Execute(image, mask)
        inside = sitk.GetArrayFromImage(image)[sitk.GetArrayFromImage(mask) > 0]
        liver = rows[1]
        assert int(liver["voxels"]) == shape.GetNumberOfPixels(1)
        assert float(liver["volume_ml"]) == pytest.approx(shape.GetPhysicalSize(1) / 1000, rel=1e-5)
        assert float(liver["mean"]) == pytest.approx(grey.GetMean(1), rel=1e-5)
        assert float(liver["max"]) == pytest.approx(grey.GetMaximum(1), rel=1e-5)
        assert float(liver["p50"]) == pytest.approx(np.median(inside), rel=1e-5)
        assert (liver["area_mm2"], liver["suv_bw_mean"], liver["intensity_unit"]) == ("", "", "")
        assert rows[0]["intensity_unit"] == "HU"
        # No masks are written where a table alone is asked for.
        assert not list(volumes.glob("*labels*"))

    def test_a_table_stays_where_no_image_can_be_read(
        self, workspace: Workspace, pictures: Path, tmp_path: Path
    ) -> None:
        table = tmp_path / "s.csv"
        write(workspace, statistics=table)
        before = table.read_bytes()
        for path in pictures.iterdir():
            path.unlink()
        assert write(workspace, statistics=table).cases == 0
        assert table.read_bytes() == before

    def test_no_lengths_without_a_spacing(self, workspace: Workspace, pictures: Path, tmp_path: Path) -> None:
        (row, *_) = self.table(workspace, tmp_path / "s.csv")
        assert (row["voxels"], row["volume_ml"], row["area_mm2"], row["longest_diameter_mm"]) == ("224", "", "", "")

    @pytest.mark.parametrize(
        ("mask", "spacing", "expected"),
        [
            (np.ones((1, 1, 10)), (1.0, 1.0, 1.0), 10.0),
            (np.ones((10, 1, 1)), (1.0, 1.0, 3.0), 30.0),
            (np.ones((1, 1)), (2.0, 5.0), 5.0),
        ],
    )
    def test_a_row_is_as_long_as_its_voxels(
        self, mask: NDArray[Any], spacing: tuple[float, ...], expected: float
    ) -> None:
        packed = PackedMask.of_patch(mask, Region.whole(mask.shape))
        assert longest_diameter(packed, Geometry.create(mask.shape, spacing)) == pytest.approx(expected)

    def test_a_ball_is_twice_its_radius(self) -> None:
        z, y, x = np.indices((20, 40, 40))
        ball = (2 * (z - 9.5)) ** 2 + (y - 19.5) ** 2 + (x - 19.5) ** 2 <= 15**2
        packed = PackedMask.of_patch(ball, Region.whole(ball.shape))
        assert longest_diameter(packed, Geometry.create(ball.shape, (1.0, 1.0, 2.0))) == pytest.approx(30, abs=2)


def test_masks_that_were_never_answered_are_answered(
    workspace: Workspace, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def answered(image: Image, model: str, objects: list[Any]) -> dict[int, PackedMask]:
        asked.append((model, [o.id for o in objects]))
        return {o.id: PackedMask.of_patch(np.ones(image.shape), Region.whole(image.shape)) for o in objects}

    monkeypatch.setattr("bedside.worklist.entries._answered", answered)
    workspace._connection.execute("DELETE FROM mask WHERE image = 1 AND object = 2")
    write(workspace, folder=tmp_path / "out")
    assert asked == [("bedside-2d", [2])]
