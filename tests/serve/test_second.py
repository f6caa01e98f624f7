"""A second image beside an open one: linked, sent, resampled, prompted on, and rejected by name."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.imaging.linked import link_images
from bedside.io import read_image, write_image
from bedside.serve.security import BODY_LIMIT, _excess
from tests.support.dicom_sources import write_series
from tests.support.moved_patient import write_visits

Start = Callable[..., Any]
CUBES = (12, 30, 40)


@pytest.fixture
def pet(volume: Path, tmp_path: Path) -> Path:
    """A coarser volume at the same place, with something hot where the first has nothing."""
    first = read_image(volume).geometry
    shape, spacing = (6, 15, 20), (1.0, 1.0, 4.0)
    # The centre of a coarse voxel lies between those of two fine ones on each axis.
    origin = first.index_to_world([0.5, 0.5, 0.5])
    array = np.zeros(shape, np.float32)
    array[1:4, 10:13, 4:8] = 90
    path = tmp_path / "pet.nii.gz"
    write_image(path, Image(array, Geometry.create(shape, spacing, list(origin), first.direction)))
    return path


HOT = (11, 22, 5)
"""A voxel of the first image where the second one is hot."""


def address(image: int, rest: str = "") -> str:
    return f"/api/images/{image}/second{rest}"


@pytest.mark.parametrize("way", ["path", "upload"])
def test_a_second_image_is_linked_and_sent(start: Start, volume: Path, pet: Path, tmp_path: Path, way: str) -> None:
    server = start()
    image = server.open(volume)["image"]
    assert not server.ok("GET", f"/api/images/{image}")["linked"]
    if way == "path":
        info = server.ok("PUT", address(image), {"path": str(pet)})
    else:
        sent = server.client.put(address(image), files=[("files", (pet.name, pet.read_bytes()))])
        assert sent.status_code == 200, sent.text
        info = sent.json()
        assert list((server.service.folder / "unpacked").glob("*")) == []
    assert info == server.ok("GET", address(image))
    assert (info["name"], info["shape"], info["shift"]) == ("pet.nii.gz", [6, 15, 20], None)
    assert info["path"] == (str(pet) if way == "path" else "")
    assert info["range"] == [0, 90]
    assert "frame of reference" in info["notes"][0]
    assert server.ok("GET", f"/api/images/{image}")["linked"]
    # It is no line of the worklist.
    assert [i["name"] for i in server.ok("GET", "/api/worklist")["items"]] == [volume.name]
    linked = link_images(read_image(volume), read_image(pet))
    for axis, index in ((0, 4), (1, 21), (2, 12)):
        content = server.get(address(image, f"/slice.npy?axis={axis}&index={index}")).content
        shown = np.load(io.BytesIO(content), allow_pickle=False)
        assert np.array_equal(shown, linked.slice(axis, index), equal_nan=True)
    whole = nibabel.Nifti1Image.from_bytes(server.get(address(image, "/image.nii")).content)
    assert np.array_equal(np.asarray(whole.dataobj).transpose(2, 1, 0), linked.image.array)
    server.ok("DELETE", address(image))
    assert server.rejected("GET", address(image), 404)["kind"] == "NotFoundError"


@pytest.mark.parametrize("way", ["rest", "socket"])
def test_a_prompt_on_it_makes_a_mask_that_a_new_start_finds(start: Start, volume: Path, pet: Path, way: str) -> None:
    server = start()
    image = server.open(volume)["image"]
    server.ok("PUT", address(image), {"path": str(pet)})
    prompt = {"prompt": {"kind": "point", "position": list(HOT)}, "on": "second"}
    if way == "rest":
        change = server.ok("POST", f"/api/images/{image}/prompts", prompt)
    else:
        with server.listen(image) as socket:
            socket.send(json.dumps({"type": "prompt", "request": "a", **prompt}))
            while (message := json.loads(socket.recv(timeout=20)))["type"] == "busy":
                pass
            change = message["change"]
    assert [p["kind"] for p in change["prompts"]] == ["mask"]
    assert change["passes"] == 0
    truth = link_images(read_image(volume), read_image(pet)).onto_grid().array >= 80
    mask = server.mask(image, 1, CUBES)
    assert mask[HOT[::-1]]
    assert np.all(mask[truth])
    # On the first image there is nothing but the ground at that place.
    first = server.click(image, *HOT, object=None)
    assert first["objects"][0]["voxels"] > 5 * mask.sum()
    server.ok("POST", f"/api/images/{image}/objects/1/undo")
    again = start()
    assert np.array_equal(again.mask(image, 1, CUBES), mask)
    problem = again.rejected("POST", f"/api/images/{image}/prompts", 404, prompt)
    assert "has no second image" in problem["message"]
    assert len(again.ok("GET", f"/api/images/{image}/objects")["objects"]) == 1


def test_a_prompt_that_is_rejected_there_begins_nothing(start: Start, volume: Path, pet: Path) -> None:
    server = start()
    image = server.open(volume)["image"]
    server.ok("PUT", address(image), {"path": str(pet)})
    prompt = {"prompt": {"kind": "point", "position": list(HOT), "positive": False}, "on": "second"}
    assert server.rejected("POST", f"/api/images/{image}/prompts", 400, prompt)["kind"] == "PromptError"
    assert server.ok("GET", f"/api/images/{image}/objects")["objects"] == []


def test_registration_is_done_on_request(start: Start, tmp_path: Path) -> None:
    write_visits(tmp_path)
    server = start()
    image = server.open(tmp_path / "now.nii.gz")["image"]
    info = server.ok("PUT", address(image), {"path": str(tmp_path / "before.nii.gz"), "register": True})
    assert 9 < info["shift"] < 15
    assert info["turn"] == pytest.approx(6, abs=1)
    assert "moved by 1" in info["notes"][0]
    assert info["origin"] != list(read_image(tmp_path / "before.nii.gz").geometry.origin)


def test_what_cannot_be_linked_is_rejected_by_name(start: Start, volume: Path, picture: Path, tmp_path: Path) -> None:
    write_series(tmp_path / "one", (4, 9, 11))
    write_series(tmp_path / "two", (4, 9, 11))
    server = start()
    image = server.open(tmp_path / "one")["image"]
    for path, said in ((picture, "got a picture"), (volume, "nowhere overlaps"), (tmp_path / "two", "another frame")):
        problem = server.rejected("PUT", address(image), 400, {"path": str(path)})
        assert said in problem["message"]
        assert problem["fix"]
    missing = {"path": str(tmp_path / "nowhere.nii")}
    assert "nowhere.nii" in server.rejected("PUT", address(image), 400, missing)["message"]
    server.rejected("PUT", address(image), 422, {"path": str(volume), "registr": True})
    server.rejected("GET", address(image), 404)
    flat = server.open(picture)["image"]
    assert "the first image" in server.rejected("PUT", address(flat), 400, {"path": str(volume)})["message"]


def test_one_of_several_series_is_named(start: Start, tmp_path: Path) -> None:
    write_series(tmp_path / "study" / "a", (4, 9, 11))
    write_series(tmp_path / "study" / "b", (5, 9, 11))
    server = start()
    image = server.open(tmp_path / "study" / "a")["image"]
    asked = {"path": str(tmp_path / "study"), "register": False}
    problem = server.rejected("PUT", address(image), 400, asked)
    assert problem["kind"] == "ChoiceError"
    assert "GET /api/worklist" in problem["fix"]
    items = [i for i in server.ok("GET", "/api/worklist")["items"] if i["series"]]
    assert len(items) == 2
    found = []
    for item in items:
        answer = server.client.put(address(image), json={**asked, "series": item["series"]})
        found.append(answer.json()["shape"][0] if answer.status_code == 200 else answer.json()["what"])
    # The own series is linked, the other one is of another frame of reference.
    assert sorted(map(str, found)) == ["4", "the second image has another frame of reference than the first"]
    prior = {"path": str(tmp_path / "mask.nii.gz"), "prior": str(tmp_path / "study")}
    assert server.rejected("POST", f"/api/images/{image}/segmentation", 400, prior)["kind"] == "ChoiceError"
    named = {**prior, "prior_series": items[0]["series"]}
    problem = server.rejected("POST", f"/api/images/{image}/segmentation", 400, named)
    assert "mask.nii.gz" in problem["message"]


def test_it_may_be_as_large_as_an_image() -> None:
    large = {"content-length": str(BODY_LIMIT + 1)}
    assert _excess({"type": "http", "path": "/api/images/12/second"}, large, None) is None
    assert _excess({"type": "http", "path": "/api/images/12/second/slice.npy"}, large, None) is not None
