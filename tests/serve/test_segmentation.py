"""Segmentations of every form go out of the server and come back onto the image."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from bedside.core.geometry import Geometry
from bedside.io import read_image, write_image, write_mask
from bedside.io.segmentations import read_segments
from bedside.serve.security import BODY_LIMIT, _excess
from tests.support.dicom_sources import PLANTED, write_picture, write_series
from tests.support.moved_patient import overlap, write_visits

Start = Callable[..., Any]
SHAPE = (4, 9, 11)
FORMS = ["nii.gz", "nrrd", "mha", "tif", "npz", "dicom-seg", "rtstruct"]
NAMES, COLOURS = ["liver", "läsion"], ["#c83232", "#32c832"]


@pytest.fixture
def ct(tmp_path: Path) -> Path:
    write_series(tmp_path / "ct", SHAPE, spacing=(0.7, 0.8, 2.5), origin=(-30, 40, 1000))
    return tmp_path / "ct"


@pytest.fixture
def masks() -> list[NDArray[np.uint8]]:
    first, second = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    first[1:3, 2:7, 2:8] = 1
    first[1, 4, 4] = 0
    second[3, 0:2, 0:2] = second[0, 8, 10] = 1
    return [first, second]


def painted(server: Any, image: int, masks: Any, tools: Any) -> None:
    """Two objects with names and colours of their own."""
    for number, (name, colour, mask) in enumerate(zip(NAMES, COLOURS, masks, strict=True), start=1):
        server.ok("POST", f"/api/images/{image}/objects", {"name": name, "colour": colour})
        box = {"start": [0, 0, 0], "stop": list(SHAPE)}
        server.ok("POST", f"/api/images/{image}/brush", {"box": box, "bits": tools.bits(mask), "object": number})


def emptied(server: Any, image: int) -> None:
    for info in server.ok("GET", f"/api/images/{image}/objects")["objects"]:
        server.ok("DELETE", f"/api/images/{image}/objects/{info['id']}")


def send(server: Any, image: int, path: Path, way: str) -> Any:
    """Open a segmentation by its path, or by what it holds."""
    address = f"/api/images/{image}/segmentation"
    if way == "path":
        return server.client.post(address, json={"path": str(path)})
    return server.client.post(address, files=[("files", (path.name, path.read_bytes()))])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("way", ["path", "upload"])
def test_what_was_saved_is_opened_again(
    start: Start, ct: Path, masks: Any, tmp_path: Path, tools: Any, form: str, way: str
) -> None:
    dicom = form in ("dicom-seg", "rtstruct")
    if dicom:
        pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
    server = start()
    image = server.open(ct)["image"]
    painted(server, image, masks, tools)
    saved = server.get(f"/api/images/{image}/export?format={form}")
    assert saved.status_code == 200, saved.text
    kind = {"dicom-seg": "seg.dcm", "rtstruct": "rtstruct.dcm"}.get(form, f"labels.{form}")
    assert f'filename="ct-{kind}"' in saved.headers["content-disposition"]
    notes = json.loads(unquote(saved.headers.get("x-bedside-notes", "%5B%5D")))
    named = dicom or form == "nrrd"
    assert any("no place for names" in note for note in notes) == (not named)
    path = tmp_path / kind
    path.write_bytes(saved.content)
    emptied(server, image)
    answer = send(server, image, path, way)
    assert answer.status_code == 200, answer.text
    change = answer.json()
    assert change["opened"] == [3, 4]
    assert change["current"] == 3
    assert change["passes"] == 0
    infos = change["objects"]
    assert [o["label"] for o in infos] == [1, 2]
    assert [o["name"] for o in infos] == (NAMES if named else ["segment 1", "segment 2"])
    if dicom:
        for info, colour in zip(infos, COLOURS, strict=True):
            pairs = zip(bytes.fromhex(info["colour"][1:]), bytes.fromhex(colour[1:]), strict=True)
            assert all(abs(a - b) <= 1 for a, b in pairs)
    for number, mask in zip((3, 4), masks, strict=True):
        assert np.array_equal(server.mask(image, number, SHAPE), mask)
    assert np.array_equal(
        tools.pasted(change["patch"], "labels", SHAPE), np.where(masks[0], 3, np.where(masks[1], 4, 0))
    )
    # The network goes on from it, undo comes back to it, and a new start finds it.
    clicked = server.click(image, 5, 0, 3, object=3)
    grown = server.mask(image, 3, SHAPE)
    assert clicked["passes"] == 1
    assert np.all(grown >= masks[0])
    assert grown.sum() > masks[0].sum()
    server.ok("POST", f"/api/images/{image}/objects/3/undo")
    again = start()
    assert again.ok("GET", f"/api/images/{image}/objects")["objects"][0]["name"] == infos[0]["name"]
    for number, mask in zip((3, 4), masks, strict=True):
        assert np.array_equal(again.mask(image, number, SHAPE), mask)
    again.ok("POST", f"/api/images/{image}/objects/3/redo")
    assert np.array_equal(again.mask(image, 3, SHAPE), grown)
    journal = again.get(f"/api/images/{image}/journal").json()
    assert [o["events"][0]["prompt"]["kind"] for o in journal["objects"]] == ["mask", "mask"]
    assert list((again.service.folder / "unpacked").glob("*")) == []


def test_others_are_told_and_the_state_of_the_work_moves(start: Start, ct: Path, masks: Any, tmp_path: Path) -> None:
    server = start(ct.parent)
    opened = server.open(ct)
    image = opened["image"]
    write_mask(tmp_path / "a.nrrd", masks[0], read_image(ct).geometry, {1: "liver"})
    with server.listen(image) as socket:
        assert send(server, image, tmp_path / "a.nrrd", "path").status_code == 200
        told = json.loads(socket.recv(timeout=10))
    assert (told["type"], told["change"]["opened"]) == ("changed", [1])
    assert server.ok("GET", f"/api/images/{image}")["state"] == "in progress"


def test_overlapping_objects_are_whole_in_dicom(start: Start, ct: Path, masks: Any, tmp_path: Path, tools: Any) -> None:
    pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
    server = start()
    image = server.open(ct)["image"]
    painted(server, image, [masks[0], masks[0]], tools)
    base = f"/api/images/{image}/export"
    for policy in ("keep", "overlap"):
        path = tmp_path / f"{policy}.dcm"
        path.write_bytes(server.get(f"{base}?format=dicom-seg&policy={policy}").content)
        assert [int(s.patch.sum()) for s in read_segments(path, read_image(ct)).segments] == [59, 59]
    answer = server.get(f"{base}?format=nrrd&policy=keep")
    assert json.loads(unquote(answer.headers["x-bedside-notes"]))[0].startswith("'liver' and 'läsion' overlap")
    assert "as DICOM" in server.rejected("GET", f"{base}?format=nrrd&policy=overlap", 400)["fix"]


def test_one_dicom_object_for_each_object(start: Start, ct: Path, masks: Any, tools: Any) -> None:
    pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
    server = start()
    image = server.open(ct)["image"]
    painted(server, image, masks, tools)
    answer = server.get(f"/api/images/{image}/export?what=objects&format=rtstruct")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["ct-01-liver.dcm", "ct-02-läsion.dcm"]
        found = pydicom.dcmread(io.BytesIO(archive.read("ct-02-läsion.dcm")))
    assert found.StructureSetROISequence[0].ROIName == "läsion"
    assert found.PatientID == PLANTED["PatientID"]
    assert not any(value in answer.headers["content-disposition"] for value in PLANTED.values())


def test_dicom_is_offered_for_images_from_dicom_alone(start: Start, ct: Path, picture: Path, tmp_path: Path) -> None:
    server = start()
    formats = {f["format"]: f for f in server.ok("GET", "/api/state")["formats"]}
    assert [name for name, f in formats.items() if f["dicom"]] == ["dicom-seg", "rtstruct"]
    assert formats["dicom-seg"]["suffix"] == ".dcm"
    assert [name for name, f in formats.items() if f["names"]] == ["nrrd", "dicom-seg", "rtstruct"]
    assert server.open(ct)["dicom_formats"] == ["dicom-seg", "rtstruct"]
    assert server.open(write_picture(tmp_path / "cr.dcm", "CR"))["dicom_formats"] == ["dicom-seg"]
    opened = server.open(picture)
    assert opened["dicom_formats"] == []
    server.click(opened["image"], 12, 8)
    for form in ("dicom-seg", "rtstruct", "dcm"):
        problem = server.rejected("GET", f"/api/images/{opened['image']}/export?format={form}", 400)
        assert problem["expected"] == "an image read from DICOM files"


@pytest.mark.parametrize("way", ["path", "upload"])
def test_a_list_of_labels_is_what_an_image_starts_from(
    start: Start, ct: Path, masks: Any, tmp_path: Path, tools: Any, way: str
) -> None:
    server = start()
    image = server.open(ct)["image"]
    painted(server, image, masks, tools)
    path = tmp_path / "names.txt"
    path.write_text('2 1 2 3 1 1 1 "spleen"\n9 255 0 0 1 1 1 "aorta"\n')
    change = send(server, image, path, way).json()
    assert change["opened"] == [3]
    for again in (False, True):
        running = start() if again else server
        found = running.ok("GET", f"/api/images/{image}/objects")["objects"]
        assert [(o["label"], o["name"], o["colour"], o["voxels"] > 0) for o in found] == [
            (1, "liver", COLOURS[0], True),
            (2, "spleen", "#010203", True),
            (9, "aorta", "#ff0000", False),
        ]


def test_an_image_that_was_open_from_another_file_has_the_dicom_files_of_the_place_opened(
    start: Start, ct: Path, masks: Any, tmp_path: Path, tools: Any
) -> None:
    write_image(tmp_path / "same.nrrd", read_image(ct))
    for first in (True, False):
        # The first time the places are new, the second time the workspace knows them.
        server = start()
        image = server.open(tmp_path / "same.nrrd")
        assert image["dicom_formats"] == []
        if first:
            painted(server, image["image"], masks, tools)
        again = server.open(ct)
        assert again["image"] == image["image"]
        assert again["dicom_formats"] == ["dicom-seg", "rtstruct"]
        assert [o["name"] for o in again["objects"]] == NAMES
        answer = server.get(f"/api/images/{image['image']}/export?format=rtstruct")
        assert answer.status_code == 200, answer.text
        assert server.open(tmp_path / "same.nrrd")["dicom_formats"] == []


def test_a_picture_of_labels(start: Start, picture: Path, tmp_path: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    labels = np.zeros((40, 60), np.uint8)
    labels[3:9, 4:20], labels[30:, 50:] = 5, 200
    write_mask(tmp_path / "cells.png", labels, Geometry.create(labels.shape))
    change = send(server, image, tmp_path / "cells.png", "upload").json()
    assert [o["label"] for o in change["objects"]] == [5, 200]
    assert len({o["colour"] for o in change["objects"]}) == 2
    for number, label in ((1, 5), (2, 200)):
        assert np.array_equal(server.mask(image, number, (40, 60)), labels == label)
    # Once more: the numbers are taken, which is said.
    change = send(server, image, tmp_path / "cells.png", "upload").json()
    assert [o["label"] for o in change["objects"]] == [5, 200, 201, 202]
    assert change["notes"] == [
        "'segment 5' has the number 201: 5 is taken",
        "'segment 200' has the number 202: 200 is taken",
    ]


def _grey(folder: Path) -> Path:
    noise = np.random.default_rng(3).integers(0, 200, SHAPE).astype(np.uint8)
    write_mask(folder / "grey.nii.gz", noise, read_image(folder / "ct").geometry)
    return folder / "grey.nii.gz"


def _other_shape(folder: Path) -> Path:
    write_mask(folder / "shape.tif", np.ones((4, 9, 12), np.uint8), Geometry.create((4, 9, 12)))
    return folder / "shape.tif"


def _elsewhere(folder: Path) -> Path:
    write_mask(folder / "far.nrrd", np.ones(SHAPE, np.uint8), Geometry.create(SHAPE, (1, 1, 1), (900, 900, 0)))
    return folder / "far.nrrd"


def _empty(folder: Path) -> Path:
    write_mask(folder / "empty.mha", np.zeros(SHAPE, np.uint8), read_image(folder / "ct").geometry)
    return folder / "empty.mha"


def _frame(folder: Path) -> Path:
    pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
    from bedside.io.segmentations import write_segments

    write_series(folder / "other", SHAPE, spacing=(0.7, 0.8, 2.5), origin=(-30, 40, 1000))
    other = read_image(folder / "other")
    write_mask(folder / "one.nii", np.ones(SHAPE, np.uint8), other.geometry)
    write_segments(folder / "frame.dcm", read_segments(folder / "one.nii", other), other, form="rtstruct")
    return folder / "frame.dcm"


def _text(folder: Path) -> Path:
    (folder / "notes.txt").write_text("no image")
    return folder / "notes.txt"


WRONG = [
    (_grey, "the grey values of an image"),
    (_other_shape, "expected shape (4, 9, 11), got (4, 9, 12)"),
    (_elsewhere, "the segmentation lies outside the image"),
    (_empty, "expected 1 to 1,000 labels, got none"),
    (_frame, "another frame of reference"),
    (_text, "notes.txt"),
]


@pytest.mark.parametrize(("make", "message"), WRONG)
@pytest.mark.parametrize("way", ["path", "upload"])
def test_what_does_not_belong_to_the_image_is_a_problem_and_changes_nothing(
    start: Start, ct: Path, masks: Any, tmp_path: Path, tools: Any, make: Any, message: str, way: str
) -> None:
    server = start()
    image = server.open(ct)["image"]
    painted(server, image, masks, tools)
    before = server.ok("GET", f"/api/images/{image}/objects")
    answer = send(server, image, make(tmp_path), way)
    assert answer.status_code == 400, answer.text
    problem = answer.json()
    assert set(problem) == {"kind", "what", "expected", "got", "fix", "message"}
    assert message in problem["message"]
    assert not any(value in problem["message"] for value in PLANTED.values())
    assert "segmentation-" not in problem["message"]
    assert server.ok("GET", f"/api/images/{image}/objects") == before
    assert list((server.service.folder / "unpacked").glob("*")) == []


def test_requests_of_the_wrong_form(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    address = f"/api/images/{image}/segmentation"
    assert server.rejected("POST", address, 422, {"file": "x"})["kind"] == "InvalidRequest"
    assert "absolute path" in server.rejected("POST", address, 400, {"path": "a.nii"})["expected"]
    assert server.client.post(address, files={"other": b"x"}).status_code == 400
    assert server.client.post(address, content=b"{").status_code == 422
    server.rejected("POST", "/api/images/99/segmentation", 404, {"path": "/a.nii"})


def test_segmentations_may_be_as_large_as_images() -> None:
    large = {"content-length": str(BODY_LIMIT + 1)}
    assert _excess({"type": "http", "path": "/api/images/12/segmentation"}, large, None) is None
    assert _excess({"type": "http", "path": "/api/images/12/segmentation/x"}, large, None) is not None


def test_what_was_drawn_on_a_prior_is_carried_over(start: Start, tmp_path: Path) -> None:
    now, lesion = write_visits(tmp_path)
    server = start()
    image = server.open(tmp_path / "now.nii.gz")["image"]
    asked = {"path": str(tmp_path / "drawn.nii.gz"), "prior": str(tmp_path / "before.nii.gz")}
    answer = server.client.post(f"/api/images/{image}/segmentation", json=asked)
    assert answer.status_code == 200, answer.text
    assert any("the prior was moved by 1" in note for note in answer.json()["notes"])
    mask = server.mask(image, answer.json()["opened"][0], now.shape)
    assert overlap(mask, lesion) > 0.85
    sent = [("files", ("drawn.nii.gz", (tmp_path / "drawn.nii.gz").read_bytes()))]
    address = f"/api/images/{image}/segmentation?{urlencode({'prior': asked['prior']})}"
    uploaded = server.client.post(address, files=sent)
    assert uploaded.status_code == 200, uploaded.text
    assert np.array_equal(server.mask(image, uploaded.json()["opened"][0], now.shape), mask)
    missing = {**asked, "prior": str(tmp_path / "nowhere.nii.gz")}
    rejected = server.client.post(f"/api/images/{image}/segmentation", json=missing)
    assert rejected.status_code == 400
    assert "nowhere.nii.gz" in rejected.json()["message"]
