from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import tifffile
from PIL import Image as Picture

from bedside import io
from bedside.cli.main import execute
from bedside.io.contents import contents


def test_a_folder_of_plain_images_is_listed_by_name(tmp_path: Path) -> None:
    Picture.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "deeper").mkdir()
    nib.save(nib.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.eye(4)), tmp_path / "deeper" / "b.nii.gz")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_bytes(b"")
    assert [item.path for item in contents(tmp_path)] == ["a.png", str(Path("deeper") / "b.nii.gz")]


@pytest.mark.parametrize("kind", ["NIfTI", "NRRD", "TIFF", "OME-TIFF"])
def test_each_volume_of_a_file_is_listed(tmp_path: Path, kind: str) -> None:
    """The numbers are those of ``read_image``."""
    array = np.random.default_rng(0).integers(0, 99, (3, 4, 5, 6)).astype(np.int16)
    path = tmp_path / {"NIfTI": "a.nii", "NRRD": "a.nrrd", "TIFF": "a.tif", "OME-TIFF": "a.ome.tif"}[kind]
    if kind == "NIfTI":
        nib.save(nib.Nifti1Image(array.T, np.eye(4)), path)
    elif kind == "NRRD":
        sitk.WriteImage(sitk.GetImageFromArray(np.moveaxis(array, 0, -1), isVector=True), str(path))
    else:
        axes = {"axes": "CZYX"} if kind == "OME-TIFF" else {"axes": "TZYX"}
        tifffile.imwrite(path, array.astype(np.uint16), metadata=axes, imagej=kind == "TIFF")
    found = contents(path)
    assert [item.volume for item in found] == [0, 1, 2]
    assert not any(item.main for item in found)
    for item in found:
        image = io.read_image(path, volume=item.volume)
        np.testing.assert_array_equal(image.array, array[item.volume])
        assert "4 x 5 x 6" in item.title
        assert item.slices == 4


def test_images_of_different_sizes_are_listed_with_them(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(np.zeros((9, 8), np.uint8))
        writer.write(np.zeros((5, 6), np.uint16))
    assert [item.title for item in contents(tmp_path / "a.tif")] == ["TIFF, 9 x 8 uint8", "TIFF, 5 x 6 uint16"]


@pytest.mark.parametrize("verb", ["convert", "edit", "segment"])
def test_a_mask_of_several_volumes_is_not_told_to_choose_by_the_images_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    nib.save(nib.Nifti1Image(np.ones((5, 4, 3, 2), np.uint8), np.eye(4)), tmp_path / "mask.nii")
    nib.save(nib.Nifti1Image(np.zeros((5, 4, 3), np.int16), np.eye(4)), tmp_path / "image.nii")
    mask, out = str(tmp_path / "mask.nii"), str(tmp_path / "out.nii")
    arguments = {
        "convert": ["convert", mask, out],
        "edit": ["edit", mask, "--fill-holes", "-o", out],
        "segment": ["segment", str(tmp_path / "image.nii"), "--initial-mask", mask, "-o", out],
    }[verb]
    assert execute(arguments) == 2
    told = capsys.readouterr().err
    assert "holds 2 volumes" in told
    assert "give a file that holds one alone" in told
    assert "--volume" not in told
