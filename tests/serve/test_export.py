from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import PIL.Image
import pytest

from bedside.io import read_image, read_mask
from bedside.session import Session

Start = Callable[..., Any]


@pytest.fixture
def worked(start: Start, volume: Path) -> Any:
    """A server, and a volume with two objects that overlap and one that is hidden."""
    server = start()
    image = server.open(volume)["image"]
    server.click(image, 12, 8, 4)
    server.ok("POST", f"/api/images/{image}/objects", {"name": "läsion / 2"})
    server.click(image, 13, 9, 4)
    server.ok("POST", f"/api/images/{image}/objects", {})
    server.click(image, 30, 20, 8)
    server.ok("PATCH", f"/api/images/{image}/objects/3", {"visible": False})
    return server, image


@pytest.mark.parametrize("suffix", ["nii.gz", "nii", "nrrd", "mha", "tif", "npz"])
def test_label_maps_are_those_of_a_session(worked: Any, tmp_path: Path, volume: Path, tools: Any, suffix: str) -> None:
    server, image = worked
    answer = server.get(f"/api/images/{image}/export?format={suffix}")
    assert answer.status_code == 200, answer.text
    assert f'filename="cubes-labels.{suffix}"' in answer.headers["content-disposition"]
    path = tmp_path / f"saved.{suffix}"
    path.write_bytes(answer.content)
    saved = read_mask(path)
    journal = tmp_path / "journal.json"
    journal.write_bytes(server.get(f"/api/images/{image}/journal").content)
    session = Session.load(journal, volume, segmenter=tools._grower_class()())
    assert np.array_equal(saved.array, session.label_map())
    assert set(np.unique(saved.array)) == {0, 1, 3}
    if suffix in ("nii.gz", "nii", "nrrd", "mha"):
        assert saved.geometry.matches(read_image(volume).geometry)


def test_nibabel_reads_what_was_saved(worked: Any, tmp_path: Path, volume: Path) -> None:
    server, image = worked
    path = tmp_path / "saved.nii.gz"
    path.write_bytes(server.get(f"/api/images/{image}/export?policy=overwrite").content)
    saved = nib.load(path)
    assert np.allclose(saved.affine, nib.load(volume).affine, atol=1e-4)
    assert set(np.unique(np.asarray(saved.dataobj))) == {0, 2, 3}


def test_one_file_for_each_object(worked: Any, tmp_path: Path) -> None:
    server, image = worked
    answer = server.get(f"/api/images/{image}/export?what=objects&format=nrrd")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "objects")
    assert names == ["cubes-01-object 1.nrrd", "cubes-02-läsion _ 2.nrrd", "cubes-03-object 3.nrrd"]
    for number, name in enumerate(names, start=1):
        saved = read_mask(tmp_path / "objects" / name).array
        assert np.array_equal(saved, server.mask(image, number, (12, 30, 40)))


def test_pictures_are_saved_as_png(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    content = server.get(f"/api/images/{image}/export?format=png").content
    assert np.asarray(PIL.Image.open(io.BytesIO(content))).sum() == 100


def test_what_cannot_be_saved_is_rejected(worked: Any, start: Start, picture: Path) -> None:
    server, image = worked
    base = f"/api/images/{image}/export"
    assert "one file per object" in server.rejected("GET", f"{base}?policy=overlap", 400)["fix"]
    assert "cannot hold 3 axes" in server.rejected("GET", f"{base}?format=png", 400)["message"]
    assert ".nii.gz" in server.rejected("GET", f"{base}?format=exe", 400)["expected"]
    for query in ("format=../nii", "what=everything", "policy=both"):
        server.rejected("GET", f"{base}?{query}", 422)
    empty = server.open(picture)["image"]
    assert "nothing to save" in server.rejected("GET", f"/api/images/{empty}/export", 400)["message"]
    assert list(server.service.folder.glob("export-*")) == []


def test_the_policy_of_the_image_is_the_default(worked: Any, tmp_path: Path) -> None:
    server, image = worked
    server.ok("PATCH", f"/api/images/{image}", {"policy": "overwrite"})
    path = tmp_path / "saved.nii"
    path.write_bytes(server.get(f"/api/images/{image}/export?format=nii").content)
    assert set(np.unique(read_mask(path).array)) == {0, 2, 3}


def test_labels_as_a_volume_are_those_that_are_seen(worked: Any) -> None:
    server, image = worked
    answer = server.get(f"/api/images/{image}/labels.nii")
    shown = np.asarray(nib.Nifti1Image.from_bytes(answer.content).dataobj).T
    assert np.array_equal(shown, server.labels(image, (12, 30, 40)))
    assert set(np.unique(shown)) == {0, 1}
    assert answer.headers["x-bedside-version"] == str(server.ok("GET", f"/api/images/{image}")["version"])


def test_a_journal_is_one_that_the_command_line_takes(worked: Any) -> None:
    server, image = worked
    answer = server.get(f"/api/images/{image}/journal")
    assert "cubes.nii.gz.journal.json" in answer.headers["content-disposition"]
    document = json.loads(answer.content)
    assert (document["format"], document["model"], len(document["objects"])) == ("bedside-journal", "bedside-3d", 3)
