"""MONAI Label's clients: the package's own class, and what 3D Slicer's module, OHIF and CVAT send, replayed."""

from __future__ import annotations

import gc
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray
from PIL import Image as Picture
from starlette.datastructures import UploadFile

from bedside.core.image import Image
from bedside.core.prompts import Box, Point, Prompt
from bedside.io import read_image, write_image
from bedside.serve.app import Clients
from bedside.serve.arriving import Arrivals
from bedside.serve.engines import Engines
from bedside.serve.protocol import Limits
from bedside.session.session import Session
from bedside.weights.defaults import default_model
from tests.support.dicom_sources import write_series
from tests.support.monai_label import client_class

Start = Callable[..., Any]
SHAPE = (10, 28, 36)
CENTRE = [18, 14, 5]
MODEL = "bedside-3d"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two volumes with a bright block each, one with an oblique affine."""
    turn = np.deg2rad(15)
    affine = np.diag([0.8, 0.7, 2.0, 1.0])
    affine[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]] @ affine[:2, :2]
    affine[:3, 3] = (-20, 30, 5)
    place = tmp_path / "study"
    place.mkdir()
    for name in ("case 1", "case 2"):
        array = np.full(SHAPE, -800, np.int16)
        array[3:8, 7:21, 9:27] = 100
        nibabel.save(nibabel.Nifti1Image(array.T, affine), place / f"{name}.nii.gz")
    return place


@pytest.fixture
def serve(start: Start) -> Callable[..., Any]:
    def begin(*paths: Path, bundled: bool = False, token_needed: bool = True, **limits: Any) -> Any:
        clients = Clients(Limits(**limits), token_needed=token_needed)
        return start(*paths, engines=Engines() if bundled else None, clients=clients)

    return begin


def expected(path: Path, *prompts: Prompt) -> NDArray[np.uint8]:
    """The mask of a session that is given the prompts at once."""
    image = read_image(path)
    session = Session(image, default_model(image.shape))
    for prompt in prompts:
        session.add(prompt, predict=prompt is prompts[-1])
    return session.mask


def infer(server: Any, query: str, files: Any = None, model: str = MODEL, **params: Any) -> httpx.Response:
    data = {"params": json.dumps(params)}
    answer: httpx.Response = server.client.post(f"/infer/{model}?{query}", data=data, files=files)
    return answer


def mask_in(answer: httpx.Response, suffix: str, folder: Path) -> NDArray[Any]:
    """The mask of an answer, as SimpleITK reads it."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].split('"')[1].endswith(suffix)
    path = folder / f"answer{suffix}"
    path.write_bytes(answer.content)
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def labelled(path: Path, folder: Path, name: str = "mask.nii.gz") -> tuple[Path, NDArray[np.uint8]]:
    """A mask of an image, made without Bedside."""
    image = nibabel.load(path)
    mask = np.zeros(image.shape, np.uint8)
    mask[9:27, 7:21, 3:8] = 1
    mask[9:12, 7:10, 3:8] = 2
    nibabel.save(nibabel.Nifti1Image(mask, image.affine), folder / name)
    return folder / name, mask


# The client leaves its connections to the collector of garbage, and its files, too.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.slow
def test_the_packages_own_client_works_as_always(
    serve: Callable[..., Any], folder: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    make = client_class(tmp_path_factory.mktemp("wheel"))
    server = serve(folder, bundled=True)
    work = tmp_path / "client"
    work.mkdir()
    client = make(server.url, str(work), "a-client")

    # A server with a token is a server with a password, as 3D Slicer's module asks for one.
    assert client.auth_enabled()
    assert not client.auth_valid_token()
    with pytest.raises(Exception, match="Status") as rejected:
        client.info()
    assert rejected.value.status_code == 401
    with pytest.raises(Exception, match="Status") as rejected:
        client.auth_token("anybody", "wrong")
    assert rejected.value.status_code == 401
    client.update_auth(client.auth_token("anybody", server.client.headers["authorization"].removeprefix("Bearer ")))
    assert client.auth_valid_token()

    info = client.info()
    models = {name: (one["type"], one["dimension"]) for name, one in info["models"].items()}
    assert models == {
        "bedside-2d": ("deepgrow", 2),
        "bedside-3d": ("deepgrow", 3),
        "bedside-2d-scribbles": ("scribbles", 2),
        "bedside-3d-scribbles": ("scribbles", 3),
    }
    assert info["datastore"] == {"total": 2, "completed": 0, "label_tags": {}}

    # Every answer is the mask of a session that got the same clicks; the last click is then taken back.
    path = folder / "case 1.nii.gz"
    first, second = Point(tuple(CENTRE)), Point((2, 3, 1), False)
    session = Session(read_image(path), default_model(SHAPE))
    masks = []
    for click in (first, second):
        session.add(click)
        masks.append(session.mask.copy())
    clicks = [{"foreground": [CENTRE]}, {"foreground": [CENTRE], "background": [[2, 3, 1]]}, {"foreground": [CENTRE]}]
    for params, wanted in zip(clicks, [*masks, masks[0]], strict=True):
        sent = {**params, "label": "block", "result_extension": ".nrrd", "result_dtype": "uint8"}
        file, said = client.infer(MODEL, "case 1", dict(sent))
        read = sitk.ReadImage(file)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(read), wanted)
        np.testing.assert_allclose(read.GetSpacing(), sitk.ReadImage(str(path)).GetSpacing(), rtol=1e-5)
        np.testing.assert_allclose(read.GetOrigin(), sitk.ReadImage(str(path)).GetOrigin(), rtol=1e-5)
        assert said["label_names"] == {"block": 1}
        assert 0 <= said["quality"] <= 1
    objects = server.ok("GET", "/api/images")["images"][0]["objects"]
    assert [(one["name"], one["prompts"]) for one in objects] == [("block", 1)]

    # The image whose mask is thought worst of comes next, until a person has saved a mask of it.
    assert client.next_sample("quality", {})["id"] == "case 1"
    file, mask = labelled(path, tmp_path)
    told = {"label_info": [{"name": "block", "idx": 1}]}
    assert client.save_label("case 1", str(file), "", told) == {"image": "case 1", "label": "case 1"}
    assert client.info()["datastore"] == {"total": 2, "completed": 1, "label_tags": {"final": 1}}
    assert {client.next_sample(one, {})["id"] for one in ("quality", "first", "random")} == {"case 2"}

    # Images of the client's own: for a while, and for good. One that has a token and sent a form before would send the
    # headers of that form once more, which no server could read.
    client = make(server.url, str(work), "a-client")
    client.update_auth({"token_type": "Bearer", "access_token": server.client.headers["authorization"][7:]})
    name = client.create_session(str(path))["session_id"]
    assert client.get_session(name)["name"] == name
    in_session, _ = client.infer(MODEL, "", {"foreground": [CENTRE], "label": "block"}, session_id=name)
    assert in_session.endswith(".nii.gz")
    np.testing.assert_array_equal(nibabel.load(in_session).get_fdata().T, masks[0])
    client.remove_session(name)
    with pytest.raises(Exception, match="Status") as rejected:
        client.get_session(name)
    assert rejected.value.status_code == 404
    assert client.upload_image(str(path), "case 3") == {"image": "case 3"}
    assert (folder / "case 3.nii.gz").read_bytes() == path.read_bytes()
    assert not client.train_status(check_if_running=True)
    with pytest.raises(Exception, match="Status") as rejected:
        client.train_start("bedside-3d", {})
    assert "train" in rejected.value.msg

    # What was kept is there after a restart.
    again = serve(folder, bundled=True)
    client = make(again.url, str(work), "a-client")
    client.update_auth({"token_type": "Bearer", "access_token": again.client.headers["authorization"][7:]})
    listed = client.datastore()["objects"]
    assert set(listed) == {"case 1", "case 2", "case 3"}
    assert listed["case 1"]["labels"]["final"]["info"]["label_info"] == told["label_info"]
    got = client.download_label("case 1", "final")
    assert Path(got).read_bytes() == file.read_bytes()
    np.testing.assert_array_equal(nibabel.load(got).get_fdata(), mask)
    gc.collect()


def test_a_mask_comes_alone_in_a_form_or_is_told_of(serve: Callable[..., Any], folder: Path, tmp_path: Path) -> None:
    server = serve(folder)
    asked = {"label": "block", "foreground": [CENTRE]}
    alone = mask_in(infer(server, "image=case 1&output=image", result_extension=".nrrd", **asked), ".nrrd", tmp_path)
    assert alone.sum() == 5 * 14 * 18
    for suffix in (".nii.gz", ".mha", ".seg.nrrd"):
        other = infer(server, "image=case 1&output=image", result_extension=suffix, **asked)
        np.testing.assert_array_equal(mask_in(other, suffix, tmp_path), alone)
    told = infer(server, "image=case 1&output=json", **asked).json()
    assert told == {"label_names": {"block": 1}, "model": MODEL, "quality": None}
    form = infer(server, "image=case 1", **asked)
    assert form.headers["content-type"].startswith("multipart/form-data; boundary=")
    border = form.headers["content-type"].split("=")[1].encode()
    parts = form.content.split(b"--" + border)
    assert [parts[0], parts[3]] == [b"", b"--\r\n"]
    assert json.loads(parts[1].partition(b"\r\n\r\n")[2]) == told
    assert b'name="image"; filename="' in parts[2]
    # Names of files tell nothing of the image: clients keep answers under them.
    assert b"case" not in form.content.lower().replace(b"label_names", b"")


def test_boxes_and_clicks_mean_the_same_in_volumes_and_pictures(
    serve: Callable[..., Any], folder: Path, tmp_path: Path
) -> None:
    server = serve(folder, bundled=True)
    path = folder / "case 2.nii.gz"
    # 3D Slicer's ends of a region come in any order, because its axes run the other way.
    answer = infer(server, "image=case 2&output=image", roi=[26, 9, 7, 20, 3, 7], result_extension=".nrrd")
    box = Box((9, 7, 3), (27, 21, 8))
    np.testing.assert_array_equal(mask_in(answer, ".nrrd", tmp_path), expected(path, box))
    # CVAT sends a picture with each request, and a box of two corners.
    array = np.full((40, 60, 3), 20, np.uint8)
    array[5:15, 10:20] = 200
    Picture.fromarray(array).save(tmp_path / "frame.png")
    body = {"file": ("frame.png", (tmp_path / "frame.png").read_bytes())}
    answer = infer(server, "image=&output=image", body, "bedside-2d", roi=[10, 5, 19, 14], foreground=[[15, 10]])
    found = mask_in(answer, ".png", tmp_path)
    np.testing.assert_array_equal(found, expected(tmp_path / "frame.png", Box((10, 5), (20, 15)), Point((15, 10))))
    assert found.max() == 1
    # A picture that a viewer shows as a volume of one slice has a third coordinate.
    same = infer(server, "image=&output=image", body, "bedside-2d", roi=[10, 19, 5, 14, 0, 0], foreground=[[15, 10, 0]])
    np.testing.assert_array_equal(mask_in(same, ".png", tmp_path), found)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("compress", [True, False])
def test_a_file_has_the_samples_that_were_asked_for(
    serve: Callable[..., Any], folder: Path, tmp_path: Path, dtype: str, compress: bool
) -> None:
    """OHIF takes what follows the header for samples of the dtype that it named, and unpacks only an even number."""
    server = serve(folder)
    asked = {"foreground": [CENTRE], "result_extension": ".nrrd", "result_dtype": dtype, "result_compress": compress}
    answer = infer(server, "image=case 1&output=image", **asked)
    mask = mask_in(answer, ".nrrd", tmp_path)
    assert (mask.sum(), mask.dtype) == (5 * 14 * 18, np.dtype(dtype))
    head, _, samples = answer.content.partition(b"\n\n")
    fields = dict(line.split(b": ", 1) for line in head.split(b"\n")[1:] if b": " in line and b":=" not in line)
    assert fields[b"encoding"] == (b"gzip" if compress else b"raw")
    if not compress:
        np.testing.assert_array_equal(np.frombuffer(samples, np.dtype(dtype).newbyteorder("<")).reshape(SHAPE), mask)


def test_a_series_is_named_by_its_uid_and_answered_as_dicom(start: Start, tmp_path: Path) -> None:
    highdicom = pytest.importorskip("highdicom")
    import pydicom

    files = write_series(tmp_path / "study" / "series", (4, 16, 20))
    uid = str(pydicom.dcmread(files[0]).SeriesInstanceUID)
    server = start(tmp_path / "study", clients=Clients(Limits(), token_needed=True))
    assert set(server.ok("GET", "/datastore/?output=all")["objects"]) == {uid}
    answer = infer(server, f"image={uid}&output=dicom_seg", foreground=[[10, 8, 2]], label="liver")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/dicom"), answer.text
    (tmp_path / "seg.dcm").write_bytes(answer.content)
    seg = pydicom.dcmread(tmp_path / "seg.dcm")
    assert seg.Modality == "SEG"
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == uid
    assert [one.SegmentLabel for one in seg.SegmentSequence] == ["liver"]
    # Frame by frame the mask that the same clicks give as a file.
    asked = {"foreground": [[10, 8, 2]], "label": "liver", "result_extension": ".nrrd"}
    mask = mask_in(infer(server, f"image={uid}&output=image", **asked), ".nrrd", tmp_path)
    assert mask.any()
    slices = sorted((pydicom.dcmread(one) for one in files), key=lambda one: float(one.ImagePositionPatient[2]))
    frames = highdicom.seg.segread(tmp_path / "seg.dcm").get_pixels_by_source_instance(
        [str(one.SOPInstanceUID) for one in slices],
        ignore_spatial_locations=False,
        assert_missing_frames_are_empty=True,
    )
    np.testing.assert_array_equal(frames[..., 0], mask)
    # OHIF saves samples without a header; a viewer without DICOM gets the series as one file.
    raw = np.zeros((4, 16, 20), np.uint8)
    raw[2, 8, 10] = 1
    sent = {"label": ("label.bin", raw.tobytes())}
    assert server.client.put(f"/datastore/label?image={uid}", files=sent, data={"params": "{}"}).is_success
    image = server.client.get(f"/datastore/image?image={uid}")
    (tmp_path / "image.nii.gz").write_bytes(image.content)
    (tmp_path / "label.nii.gz").write_bytes(server.client.get(f"/datastore/label?label={uid}&tag=final").content)
    volume, mask = (sitk.ReadImage(str(tmp_path / name)) for name in ("image.nii.gz", "label.nii.gz"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), raw)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(volume), read_image(files[0].parent).array)
    np.testing.assert_allclose(mask.GetOrigin(), volume.GetOrigin(), atol=1e-4)


def test_the_page_and_clients_work_on_the_same_objects(serve: Callable[..., Any], folder: Path) -> None:
    server = serve(folder)
    two = {"foreground": [CENTRE, [12, 10, 4]]}
    for label in ("left", "right"):
        assert infer(server, "image=case 1&output=json", label=label, **two).is_success
    image = server.ok("GET", "/api/images")["images"][0]
    assert [(one["name"], one["prompts"]) for one in image["objects"]] == [("left", 2), ("right", 2)]
    # Clicks elsewhere begin another object of the name; the one before stays.
    assert infer(server, "image=case 1&output=json", label="left", foreground=[[20, 15, 6]]).is_success
    image = server.ok("GET", "/api/images")["images"][0]
    assert [(one["name"], one["prompts"]) for one in image["objects"]] == [("left", 2), ("right", 2), ("left", 1)]


def test_masks_are_kept_under_tags_as_monai_label_lays_them_out(
    serve: Callable[..., Any], folder: Path, tmp_path: Path
) -> None:
    server = serve(folder)
    path, _ = labelled(folder / "case 1.nii.gz", tmp_path)
    body = path.read_bytes()
    for tag in ("final", "second-reader"):
        answer = server.client.put(
            f"/datastore/label?image=case 1&tag={tag}",
            files={"label": ("a.nii.gz", body)},
            data={"params": json.dumps({"by": tag})},
        )
        assert answer.is_success, answer.text
        assert (folder / "labels" / tag / "case 1.nii.gz").read_bytes() == body
    index = json.loads((folder / "datastore_v2.json").read_text())
    assert index["objects"]["case 1"]["labels"]["second-reader"]["ext"] == ".nii.gz"
    assert server.ok("GET", "/datastore/")["label_tags"] == {"final": 1, "second-reader": 1}
    where = "/datastore/label/info?label=case 1&tag=final"
    assert server.client.put(where, data={"info": json.dumps({"checked": True})}).is_success
    told = server.ok("GET", where)
    assert (told["by"], told["checked"]) == ("final", True)
    assert server.client.put("/datastore/image/info?image=case 1", data={"info": '{"note": "x"}'}).is_success
    assert server.ok("GET", "/datastore/image/info?image=case 1")["note"] == "x"
    assert server.client.head("/datastore/image?image=case 1").is_success
    assert server.client.head("/datastore/label?label=case 2&tag=final").status_code == 404
    assert server.ok("GET", "/datastore/?output=train") == [{"image": "case 1.nii.gz", "label": "final/case 1.nii.gz"}]
    assert server.client.delete("/datastore/label?id=case 1&tag=second-reader").is_success
    assert server.ok("GET", "/datastore/")["label_tags"] == {"final": 1}
    # Masks are no images: neither for the datastore nor on the worklist of the next start.
    server = serve(folder)
    assert server.ok("GET", "/datastore/")["total"] == 2
    while server.ok("GET", "/api/worklist")["scanning"]:
        pass
    assert [one["name"] for one in server.ok("GET", "/api/worklist")["items"]] == ["case 1.nii.gz", "case 2.nii.gz"]
    # An image that a client added can go again, with its masks; one that lay there cannot.
    sent = {"file": ("x.nii.gz", (folder / "case 2.nii.gz").read_bytes())}
    assert server.client.put("/datastore/?image=case 3", files=sent).json() == {"image": "case 3"}
    label = {"label": ("a.nii.gz", body)}
    assert server.client.put("/datastore/label?image=case 3", files=label).is_success
    assert server.client.delete("/datastore/?id=case 3").is_success
    assert server.client.delete("/datastore/?id=case 1").status_code == 404
    assert sorted(p.name for p in folder.rglob("*.nii.gz")) == ["case 1.nii.gz", "case 1.nii.gz", "case 2.nii.gz"]


def test_wrong_input_is_told_in_one_line_and_changes_nothing(
    serve: Callable[..., Any], folder: Path, tmp_path: Path
) -> None:
    server = serve(folder, image=2**20)
    # Few bytes on the way, and too many samples once unpacked.
    packed = nibabel.Nifti1Image(np.zeros((128, 128, 80), np.uint8), np.eye(4))
    nibabel.save(packed, tmp_path / "packed.nii.gz")
    large = ("a.nii.gz", (tmp_path / "packed.nii.gz").read_bytes())
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    session = {"files": ("a.nii.gz", b"no image")}
    small = tmp_path / "small.nii.gz"
    write_image(small, Image.from_array(np.zeros((3, 4, 5), np.uint8)))
    other = {"label": ("a.nii.gz", small.read_bytes())}
    put, get, post = server.client.put, server.client.get, server.client.post
    cases: list[tuple[int, str, httpx.Response]] = [
        (400, "an image, a session or a file", infer(server, "image=", foreground=[CENTRE])),
        (404, "one of the datastore", infer(server, "image=case 9", foreground=[CENTRE])),
        (404, "without their suffix: 'case 1'", infer(server, "image=case 1.nii.gz", foreground=[CENTRE])),
        (404, "lease", infer(server, "session_id=none", foreground=[CENTRE])),
        (404, "one of bedside-2d, bedside-3d", infer(server, "image=case 1", model="deepedit", foreground=[CENTRE])),
        (400, "choose 'bedside-3d'", infer(server, "image=case 1", model="bedside-2d", foreground=[CENTRE])),
        (400, "points in 'foreground'", infer(server, "image=case 1")),
        (400, "outside the image", infer(server, "image=case 1", foreground=[[99, 1, 1]])),
        (400, "3 numbers", infer(server, "image=case 1", foreground=[[1, 1]])),
        (400, "3 numbers", infer(server, "image=case 1", foreground=[["1", 1, 1]])),
        (400, "3 numbers", infer(server, "image=case 1", foreground=[1, 1, 1])),
        (400, "a list of points", infer(server, "image=case 1", foreground="1,1,1")),
        (400, "6 numbers", infer(server, "image=case 1", roi=[1, 2, 3, 4])),
        (400, "positive box or point", infer(server, "image=case 1", background=[CENTRE])),
        (400, "result_extension", infer(server, "image=case 1", foreground=[CENTRE], result_extension=".exe")),
        (400, "a DICOM series", infer(server, "image=case 1&output=dicom_seg", foreground=[CENTRE])),
        (400, "output", infer(server, "image=case 1&output=else", foreground=[CENTRE])),
        (400, "JSON", post(f"/infer/{MODEL}?image=case 1", data={"params": "{"})),
        (400, "a JSON object", post(f"/infer/{MODEL}?image=case 1", data={"params": "[1]"})),
        (404, "points or a box", infer(server, "image=case 1", other, foreground=[CENTRE])),
        (400, "files", put("/session/", data={"a": "b"})),
        (400, "", put("/session/", files=session)),
        (413, "bytes", put("/session/", files={"files": ("a.nii.gz", bytes(2**22))})),
        (413, "1048576 bytes", put("/session/", files={"files": large})),
        (413, "1048576 bytes", infer(server, "image=", {"file": large}, foreground=[CENTRE])),
        (413, "1048576 bytes", put("/datastore/?image=new", files={"file": large})),
        (404, "lease", get("/session/none")),
        (404, "one of quality", post("/activelearning/epistemic")),
        (404, "one of the datastore", get("/datastore/image?image=..%2Fsecret")),
        (404, "one of the image", get("/datastore/label?label=case 1&tag=..")),
        (400, "a mask of the image's shape", put("/datastore/label?image=case 1", files=other)),
        (400, "one byte a voxel", put("/datastore/label?image=case 1", files={"label": ("l.bin", b"12")})),
        (400, "no file", put("/datastore/label?image=case 1", data={"params": "{}"})),
        (400, "a name that is free", put("/datastore/?image=case 1", files={"file": other["label"]})),
        (400, "a name of letters", put("/datastore/?image=../x", files={"file": other["label"]})),
        (404, "train", post("/train/bedside-3d")),
        (404, "train", get("/train/?check_if_running=true")),
        (404, "train", post("/batch/infer/bedside-3d")),
        (404, "train", post("/scoring/dice")),
    ]
    for number, (status, words, answer) in enumerate(cases):
        assert (answer.status_code, list(answer.json())) == (status, ["detail"]), (number, answer.text)
        assert words in answer.json()["detail"], (number, answer.text)
        assert "\n" not in answer.json()["detail"]
        assert str(tmp_path) not in answer.text
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert all(not one["objects"] for one in server.ok("GET", "/api/images")["images"])


def test_tags_and_names_stay_in_the_folder(serve: Callable[..., Any], folder: Path, tmp_path: Path) -> None:
    server = serve(folder)
    path, _ = labelled(folder / "case 1.nii.gz", tmp_path)
    outside = sorted(p for p in tmp_path.rglob("*") if folder not in p.parents and "state" not in p.parts)
    for tag in ("..", ".", "../x", "a/b", "", " ", "..%2f", "-x"):
        answer = server.client.put(
            "/datastore/label",
            params={"image": "case 1", "tag": tag},
            files={"label": ("../../a.nii.gz", path.read_bytes())},
        )
        assert answer.is_success is (tag == ""), tag
    assert sorted(p for p in tmp_path.rglob("*") if folder not in p.parents and "state" not in p.parts) == outside
    assert [p.relative_to(folder).as_posix() for p in folder.rglob("labels/*/*")] == ["labels/final/case 1.nii.gz"]


def test_without_a_folder_sessions_are_there_and_nothing_is_written(serve: Callable[..., Any], folder: Path) -> None:
    server = serve(token_needed=False, sessions=1)
    ask = httpx.Client(base_url=server.url)
    assert ask.get("/auth/").json()["enabled"] is False
    assert ask.post("/auth/token", data={"username": "a", "password": "b"}).json()["access_token"] is None
    assert ask.get("/info/").json()["datastore"]["total"] == 0
    assert ask.post("/activelearning/first").json() == {}
    file = {"files": ("a.nii.gz", (folder / "case 1.nii.gz").read_bytes())}
    # Viewers begin a session for each image and end none.
    names = [ask.put("/session/", files=file).json()["session_id"] for _ in range(3)]
    assert len(set(names)) == 3
    assert ask.get(f"/session/{names[0]}?image=true").content == file["files"][1]
    answer = ask.put("/datastore/?image=new", files={"file": file["files"]})
    assert (answer.status_code, "start bedside serve with a folder" in answer.text) == (404, True)
    ask.close()


def test_an_image_that_is_rejected_leaves_neither_file_nor_line(
    serve: Callable[..., Any], folder: Path, tmp_path: Path
) -> None:
    server = serve(folder, quota={"images": 2}, image=2**20)
    while server.ok("GET", "/api/worklist")["scanning"]:
        pass
    frames = nibabel.Nifti1Image(np.zeros((6, 5, 4, 3), np.uint8), np.eye(4)).to_bytes()
    other = nibabel.Nifti1Image(np.full((6, 5, 4), 7, np.uint8), np.eye(4)).to_bytes()
    third = nibabel.Nifti1Image(np.full((6, 5, 4), 9, np.uint8), np.eye(4)).to_bytes()
    large = nibabel.Nifti1Image(np.zeros((128, 128, 80), np.uint8), np.eye(4))
    nibabel.save(large, tmp_path / "large.nii.gz")
    put = server.client.put

    def state() -> tuple[list[str], list[str], list[Any]]:
        uploads = server.service.uploads
        files = sorted(p.relative_to(uploads).as_posix() for p in uploads.rglob("*")) if uploads.is_dir() else []
        names = [one["name"] for one in server.ok("GET", "/api/worklist")["items"]]
        return files, names, [one.path for one in server.service.workspace.recent(100) if str(uploads) in one.path]

    def rejected(status: int, words: str, url: str, field: str, body: bytes, name: str = "a.nii") -> None:
        before = state()
        answer = put(url, files={field: (name, body)})
        assert answer.status_code == status, answer.text
        assert words in answer.text
        assert state() == before

    packed = (tmp_path / "large.nii.gz").read_bytes()
    rejected(400, "a name that is free", "/datastore/image?image=case 1", "file", other)
    rejected(400, "send one of them", "/session/", "files", frames)
    rejected(400, "send one of them", "/datastore/image?image=film", "file", frames)
    rejected(400, "a.nii", "/session/", "files", b"no image")
    rejected(413, "1048576 bytes", "/session/", "files", packed, "large.nii.gz")
    # The same content is in the server's folder already: that line, and its image, stay.
    rejected(400, "a name that is free", "/datastore/?image=case 2", "file", (folder / "case 1.nii.gz").read_bytes())
    for params in ({}, {"foreground": [[99, 1, 1]]}, {"background": [[1, 1, 1]]}):
        before = state()
        assert infer(server, "image=", {"file": ("a.nii", third)}, **params).status_code in (400, 429)
        assert state() == before
    server = serve(folder, quota={"images": 2}, image=2**20)
    put = server.client.put
    # What is in the datastore counts as an image of the client, as any other.
    assert put("/datastore/image?image=new", files={"file": ("a.nii", other)}).is_success
    assert put("/session/", files={"files": ("a.nii", other)}).is_success
    rejected(429, "2 a minute", "/datastore/image?image=more", "file", third)
    rejected(429, "2 a minute", "/session/", "files", third)
    # One that was accepted before is not removed by another that is rejected.
    rejected(429, "2 a minute", "/session/", "files", other)
    assert "bedside_images_total" in server.client.get("/metrics").text
    assert not list(folder.glob("more*"))


def test_bytes_are_counted_before_an_image_is_kept(serve: Callable[..., Any], folder: Path) -> None:
    server = serve(folder, quota={"bytes": 150})
    bodies = [nibabel.Nifti1Image(np.full((6, 5, 4), n, np.uint8), np.eye(4)).to_bytes() for n in (1, 2)]
    statuses = [
        server.client.put(f"/datastore/image?image=new {n}", files={"file": ("a.nii", body)}).status_code
        for n, body in enumerate(bodies)
    ]
    assert statuses == [200, 429]
    assert len(list(server.service.uploads.iterdir())) == 1
    assert [path.name for path in folder.glob("new*")] == ["new 0.nii"]


def test_of_two_that_send_the_same_the_one_that_is_accepted_keeps_it(tmp_path: Path) -> None:
    arrivals = Arrivals(tmp_path)

    def keep() -> Path:
        return arrivals.keep([UploadFile(io.BytesIO(b"the same"), filename="a.nii")])

    for verdicts in ((False, False), (False, True), (True, False), (True, True)):
        kept, again = keep(), keep()
        assert kept == again
        for accepted in verdicts:
            arrivals.settle(kept, accepted)
        assert kept.is_dir() is any(verdicts)
        if any(verdicts):
            assert not arrivals.settle(keep(), False)
            assert kept.is_dir()
            shutil.rmtree(kept)
