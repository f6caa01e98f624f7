"""Scribbles of MONAI Label's clients: painted in a label map, as 3D Slicer's module and OHIF's plugin send them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray

from bedside.core.prompts import Box, Point, Prompt, Scribble
from bedside.io import read_image
from bedside.serve.app import Clients
from bedside.serve.engines import Engines
from bedside.serve.protocol import Limits
from bedside.session.session import Session
from bedside.weights.defaults import default_model
from tests.support.monai_label import client_class

Start = Callable[..., Any]
SHAPE = (10, 28, 36)
MODEL = "bedside-3d-scribbles"
# As 3D Slicer numbers its segments: the object, then the two that its module paints in.
LISTED = [
    {"name": "block", "id": 1},
    {"name": "background_scribbles", "id": 2},
    {"name": "foreground_scribbles", "id": 3},
]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A volume with a bright block, with spacing and origin."""
    array = np.full(SHAPE, -800, np.int16)
    array[3:8, 7:21, 9:27] = 100
    place = tmp_path / "study"
    place.mkdir()
    affine = np.diag([0.8, 0.7, 2.0, 1.0])
    affine[:3, 3] = (-20, 30, 5)
    nibabel.save(nibabel.Nifti1Image(array.T, affine), place / "case.nii.gz")
    return place / "case.nii.gz"


@pytest.fixture
def serve(start: Start, image: Path) -> Callable[..., Any]:
    def begin(bundled: bool = False) -> Any:
        clients = Clients(Limits(), token_needed=True)
        return start(image.parent, engines=Engines() if bundled else None, clients=clients)

    return begin


def painted(inside: Any = (), outside: Any = (), values: tuple[int, int] = (3, 2)) -> NDArray[np.uint8]:
    """A label map with voxels of the object and of the background, and the object's mask of before."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[4, 9:12, 12:15] = 1
    for value, places in zip(values, (inside, outside), strict=True):
        for place in places:
            labels[place] = value
    return labels


def nifti(image: Path, labels: NDArray[Any]) -> bytes:
    """A label map as 3D Slicer writes it, made without Bedside."""
    body: bytes = nibabel.Nifti1Image(labels.T, nibabel.load(image).affine).to_bytes()
    return body


def infer(
    server: Any, body: bytes | None, name: str = "label.nii", model: str = MODEL, **params: Any
) -> httpx.Response:
    """What 3D Slicer's module sends."""
    said = {"roi": [], "label_info": LISTED, "selected_label_name": "block", "result_extension": ".nrrd", **params}
    files = None if body is None else {"label": (name, body)}
    form = {"params": json.dumps(said)}
    return server.client.post(f"/infer/{model}?image=case&output=image", data=form, files=files)


def mask_in(answer: httpx.Response, folder: Path) -> NDArray[Any]:
    assert answer.status_code == 200, answer.text
    (folder / "answer.nrrd").write_bytes(answer.content)
    return sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "answer.nrrd")))


def session_of(image: Path) -> Session:
    read = read_image(image)
    return Session(read, default_model(read.shape))


def add(session: Session, *prompts: Prompt) -> NDArray[np.uint8]:
    for prompt in prompts:
        session.add(prompt, predict=prompt is prompts[-1])
    return session.mask.copy()


def scribble(labels: NDArray[Any], positive: bool = True) -> Scribble:
    return Scribble.from_mask(labels == (3 if positive else 2), positive)


def objects(server: Any) -> list[tuple[str, int]]:
    return [(one["name"], one["prompts"]) for one in server.ok("GET", "/api/images")["images"][0]["objects"]]


STROKE = [(5, 14, slice(12, 20))]
MORE = [(5, slice(9, 18), 22), (4, 14, 16)]
OUTSIDE = [(5, 3, slice(4, 30))]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.slow
def test_the_packages_own_client_sends_scribbles(
    serve: Callable[..., Any], image: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    make = client_class(tmp_path_factory.mktemp("wheel"))
    server = serve(bundled=True)
    (tmp_path / "client").mkdir()
    session = session_of(image)
    first, second = painted(STROKE, OUTSIDE), painted(STROKE + MORE, OUTSIDE)
    wanted = [
        add(session, scribble(first), scribble(first, False)),
        add(session, Scribble.from_mask((second == 3) & (first != 3))),
    ]
    for labels, mask in zip((first, second), wanted, strict=True):
        (tmp_path / "label.nii").write_bytes(nifti(image, labels))
        # A client that has sent a form would send its headers once more.
        client = make(server.url, str(tmp_path / "client"), "a-client")
        client.update_auth({"token_type": "Bearer", "access_token": server.client.headers["authorization"][7:]})
        models = {name for name, one in client.info()["models"].items() if one["type"] == "scribbles"}
        assert models == {"bedside-2d-scribbles", MODEL}
        sent = {"roi": [], "label_info": LISTED, "selected_label_name": "block", "result_extension": ".nrrd"}
        file, said = client.infer(MODEL, "case", sent, str(tmp_path / "label.nii"))
        read = sitk.ReadImage(file)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(read), mask)
        np.testing.assert_allclose(read.GetSpacing(), (0.8, 0.7, 2.0), rtol=1e-5)
        assert said["label_names"] == {"block": 1}
    assert wanted[0].any()
    assert objects(server) == [("block", 3)]


def test_scribbles_go_on_from_clicks_and_clicks_from_scribbles(
    serve: Callable[..., Any], image: Path, tmp_path: Path
) -> None:
    server, session = serve(bundled=True), session_of(image)
    click, off = Point((18, 14, 5)), Point((3, 25, 5), False)
    clicks: dict[str, Any] = {"foreground": [[18, 14, 5]], "label": "block", "label_info": None}
    labels = painted(STROKE, OUTSIDE)
    got = mask_in(infer(server, None, model="bedside-3d", **clicks), tmp_path)
    np.testing.assert_array_equal(got, add(session, click))
    got = mask_in(infer(server, nifti(image, labels)), tmp_path)
    np.testing.assert_array_equal(got, add(session, scribble(labels), scribble(labels, False)))
    got = mask_in(infer(server, None, model="bedside-3d", **clicks, background=[[3, 25, 5]]), tmp_path)
    np.testing.assert_array_equal(got, add(session, off))
    assert objects(server) == [("block", 4)]
    # Clicks that have nothing in common with those of before are of another object.
    infer(server, None, model="bedside-3d", **{**clicks, "foreground": [[12, 10, 4]]})
    assert objects(server) == [("block", 4), ("block", 1)]


def test_a_region_is_a_box_and_by_itself_enough(serve: Callable[..., Any], image: Path, tmp_path: Path) -> None:
    server, box = serve(bundled=True), Box((9, 7, 3), (27, 21, 8))
    roi = [26, 9, 7, 20, 3, 7]
    got = mask_in(infer(server, nifti(image, painted()), roi=roi), tmp_path)
    np.testing.assert_array_equal(got, add(session_of(image), box))
    labels = painted((), OUTSIDE)
    got = mask_in(infer(server, nifti(image, labels), roi=roi, selected_label_name="other"), tmp_path)
    np.testing.assert_array_equal(got, add(session_of(image), box, scribble(labels, False)))


def test_what_is_erased_or_painted_again_is_taken_as_it_is_now(serve: Callable[..., Any], image: Path) -> None:
    server, chance = serve(), np.random.default_rng(5)
    labels = np.zeros(SHAPE, np.uint8)
    for _ in range(12):
        # Paints some voxels, and erases others; a stroke of an earlier request may so lose a voxel.
        places = tuple(chance.integers(0, SHAPE, (6, 3)).T)
        labels[places] = chance.choice([0, 2, 3, 3], 6)
        labels[5, 14, 18] = 3
        assert infer(server, nifti(image, labels)).is_success
        opened = server.ok("GET", "/api/images")["images"][0]
        where = f"/api/images/{opened['image']}/objects/{opened['objects'][-1]['id']}/prompts"
        told = server.ok("GET", where)["prompts"]
        for value, positive in ((3, True), (2, False)):
            points = [
                tuple(map(int, point))
                for one in told
                if one["positive"] is positive
                for point in one["prompt"]["points"]
            ]
            assert len(points) == len(set(points))
            assert set(points) == {tuple(map(int, place[::-1])) for place in np.argwhere(labels == value)}


@pytest.mark.parametrize("dtype", ["uint8", "<u2"])
def test_ohif_sends_samples_without_a_header(
    serve: Callable[..., Any], image: Path, tmp_path: Path, dtype: str
) -> None:
    server = serve()
    labels = painted(STROKE, OUTSIDE)
    wanted = mask_in(infer(server, nifti(image, labels)), tmp_path)
    raw = labels.astype(dtype).tobytes()
    # Its version 2 names no object and adds facts of its own to each segment.
    listed = [{**one, "color": [1, 2, 3], "labelmapIndex": 1} for one in LISTED]
    answer = infer(server, raw, "label.bin", selected_label_name=None, label_info=listed)
    np.testing.assert_array_equal(mask_in(answer, tmp_path), wanted)
    assert objects(server) == [("block", 2), ("object", 2)]
    saved = server.client.put("/datastore/label?image=case", files={"label": ("label.bin", raw)})
    assert saved.is_success, saved.text
    kept = nibabel.load(image.parent / "labels" / "final" / "case.nii.gz")
    np.testing.assert_array_equal(kept.get_fdata().T, labels)


def test_segments_that_are_not_listed_have_the_usual_values(
    serve: Callable[..., Any], image: Path, tmp_path: Path
) -> None:
    server = serve()
    wanted = mask_in(infer(server, nifti(image, painted(STROKE, OUTSIDE))), tmp_path)
    named = mask_in(infer(server, nifti(image, painted(STROKE, OUTSIDE)), label_info=[]), tmp_path)
    np.testing.assert_array_equal(named, wanted)
    other = [{"name": "background_scribbles", "id": 8}, {"name": "foreground_scribbles", "id": 7}]
    body = nifti(image, painted(STROKE, OUTSIDE, (7, 8)))
    np.testing.assert_array_equal(mask_in(infer(server, body, label_info=other), tmp_path), wanted)
    assert objects(server) == [("block", 2)]


def test_wrong_scribbles_are_told_in_one_line_and_change_nothing(serve: Callable[..., Any], image: Path) -> None:
    server = serve()
    fine, empty = nifti(image, painted(STROKE)), nifti(image, painted())
    short = nibabel.Nifti1Image(np.full((4, 5, 3), 3, np.uint8), np.eye(4)).to_bytes()
    cases: list[tuple[int, str, httpx.Response]] = [
        (404, "choose 'bedside-3d-scribbles'", infer(server, fine, model="bedside-3d")),
        (404, "one of bedside-2d, bedside-3d", infer(server, fine, model="bedside-3d-scribbles-scribbles")),
        (400, "choose 'bedside-3d-scribbles'", infer(server, fine, model="bedside-2d-scribbles")),
        (400, "a label map with scribbles", infer(server, None)),
        (400, "foreground_scribbles", infer(server, empty)),
        (400, "a mask of the image", infer(server, short)),
        (400, "a mask of the image", infer(server, b"no mask")),
        (400, "one byte a voxel", infer(server, b"123", "label.bin")),
        (400, "positive box or point or scribble", infer(server, nifti(image, painted((), OUTSIDE)))),
        (400, "a list of segments", infer(server, fine, label_info={"foreground_scribbles": 3})),
        (400, "a list of segments", infer(server, fine, label_info=[3])),
        (400, "6 numbers", infer(server, fine, roi=[1, 2])),
        (400, "uint8 or uint16", infer(server, fine, result_dtype="float32")),
        (400, "result_extension", infer(server, fine, result_extension=".exe")),
    ]
    for number, (status, words, answer) in enumerate(cases):
        assert (answer.status_code, list(answer.json())) == (status, ["detail"]), (number, answer.text)
        assert words in answer.json()["detail"], (number, answer.text)
        assert "\n" not in answer.json()["detail"]
    assert all(not one["objects"] for one in server.ok("GET", "/api/images")["images"])
