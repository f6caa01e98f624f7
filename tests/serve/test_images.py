from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import PIL.Image
import pytest

from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.io import read_image, write_image
from bedside.serve import voxels

Start = Callable[..., Any]


def test_a_volume_is_described(start: Start, volume: Path) -> None:
    found = start().open(volume)
    image = read_image(volume)
    assert (found["dimensions"], found["shape"], found["spacing"]) == (3, [12, 30, 40], [0.5, 0.5, 2.0])
    assert np.allclose(found["affine"], nib.load(volume).affine, atol=1e-5)
    assert np.allclose(found["direction"], image.geometry.direction)
    assert (found["dtype"], found["stored_dtype"], found["range"]) == ("int16", "int16", [-1000.0, 700.0])
    assert (found["modality"], found["modality_guessed"]) == ("CT", True)
    assert found["window"] == {"name": "CT abdomen", "level": 40, "width": 400}
    assert (found["objects"], found["current"], found["version"], found["state"]) == ([], None, 0, "new")
    assert found["model"] == "bedside-3d"
    assert set(found["seconds"]) == {"read", "hash", "look", "journal"}


def test_the_voxels_come_as_a_nifti_that_others_read(start: Start, volume: Path) -> None:
    server = start()
    image = server.open(volume)["image"]
    answer = server.get(f"/api/images/{image}/image.nii")
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["cache-control"] == "no-store"
    file = nib.Nifti1Image.from_bytes(answer.content)
    original = nib.load(volume)
    assert np.array_equal(np.asarray(file.dataobj), np.asarray(original.dataobj))
    assert file.get_data_dtype() == np.int16
    for affine in (file.get_sform(), file.get_qform()):
        assert np.allclose(affine, original.affine, atol=1e-4)


def test_a_large_volume_comes_in_pieces(start: Start, volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voxels, "CHUNK", 5000)
    server = start()
    image = server.open(volume)["image"]
    file = nib.Nifti1Image.from_bytes(server.get(f"/api/images/{image}/image.nii").content)
    assert np.array_equal(np.asarray(file.dataobj), np.asarray(nib.load(volume).dataobj))


def test_a_picture_comes_as_png(start: Start, picture: Path, tmp_path: Path) -> None:
    server = start()
    found = server.open(picture)
    assert (found["dimensions"], found["shape"], found["spacing_known"]) == (2, [40, 60], False)
    answer = server.get(f"/api/images/{found['image']}/picture.png")
    assert answer.headers["content-type"] == "image/png"
    assert np.array_equal(np.asarray(PIL.Image.open(io.BytesIO(answer.content))), read_image(picture).array)
    colour = tmp_path / "colour.png"
    samples = np.random.default_rng(0).integers(0, 255, (5, 6, 3), dtype=np.uint8)
    PIL.Image.fromarray(samples).save(colour)
    number = server.open(colour)["image"]
    shown = server.get(f"/api/images/{number}/picture.png").content
    assert np.array_equal(np.asarray(PIL.Image.open(io.BytesIO(shown))), samples)
    assert "picture.png" in server.rejected("GET", f"/api/images/{number}/image.nii", 400)["fix"]


def test_deep_grey_goes_through_the_window_that_is_asked_for(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "deep.tif"
    write_image(path, Image(np.array([[0, 1000, 2000, 3000, 60000]], np.uint16), Geometry.create((1, 5))))
    server = start()
    image = server.open(path)["image"]
    shown = server.get(f"/api/images/{image}/picture.png?level=1500&width=2000").content
    assert np.asarray(PIL.Image.open(io.BytesIO(shown))).tolist() == [[0, 63, 191, 255, 255]]
    file = nib.Nifti1Image.from_bytes(server.get(f"/api/images/{image}/image.nii").content)
    assert np.asarray(file.dataobj)[:, 0, 0].tolist() == [0, 1000, 2000, 3000, 60000]
    server.rejected("GET", f"/api/images/{image}/picture.png?width=0", 422)
    server.rejected("GET", f"/api/images/{image}/picture.png?level=nan", 422)


def test_a_volume_has_no_picture(start: Start, volume: Path) -> None:
    server = start()
    image = server.open(volume)["image"]
    assert "image.nii" in server.rejected("GET", f"/api/images/{image}/picture.png", 400)["fix"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/nowhere/scan.nii.gz", "nothing there"),
        ("scan.nii.gz", "absolute path"),
        ("/tmp/\0", "absolute path"),
        ("/" + "a" * 300, "cannot be opened"),
    ],
)
def test_paths_that_are_no_image_are_rejected(start: Start, path: str, message: str) -> None:
    assert message in start().rejected("POST", "/api/images", 400, {"path": path})["message"]


def test_damaged_files_are_rejected_and_are_on_no_list(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "broken.nii.gz"
    path.write_bytes(b"no gzip at all")
    server = start()
    problem = server.rejected("POST", "/api/images", 400, {"path": str(path)})
    assert problem["kind"] == "FormatError"
    assert server.ok("GET", "/api/worklist")["items"] == []
    assert server.ok("GET", "/api/state")["recent"] == []
    # In a folder it has its line, which keeps the reason.
    server = start(path.parent)
    (item,) = server.ok("GET", "/api/worklist")["items"]
    server.rejected("POST", f"/api/worklist/{item['item']}/open", 400)
    assert server.ok("GET", "/api/worklist")["items"][0]["problem"] == problem["message"]


def test_what_the_browser_sends_is_kept_beside_the_workspace(start: Start, volume: Path) -> None:
    server = start()
    content = volume.read_bytes()
    found = server.client.post("/api/upload", files=[("files", ("my scan.nii.gz", content))]).json()
    assert found["name"] == "my scan.nii.gz"
    assert Path(found["path"]).is_relative_to(server.service.folder)
    # The same file again is the same image, and is kept once.
    again = server.client.post("/api/upload", files=[("files", ("my scan.nii.gz", content))]).json()
    assert (again["image"], again["item"]) == (found["image"], found["item"])
    assert server.open(volume)["image"] == found["image"]
    uploads = [p for p in (server.service.folder / "uploads").rglob("*") if p.is_file()]
    assert len(uploads) == 1


def test_an_upload_cannot_leave_its_folder(start: Start, picture: Path) -> None:
    server = start()
    found = server.client.post("/api/upload", files=[("files", ("../../../etc/evil.png", picture.read_bytes()))]).json()
    assert Path(found["path"]).resolve().is_relative_to(server.service.folder.resolve())


def test_uploads_that_are_no_image_are_rejected(start: Start, picture: Path) -> None:
    server = start()
    for files in ([("files", ("a.txt", b"text"))], [("other", ("a.png", picture.read_bytes()))]):
        assert server.client.post("/api/upload", files=files).status_code == 400
    assert server.client.post("/api/upload", content=b"no form").status_code == 400
    two = [("files", (name, picture.read_bytes())) for name in ("a.png", "b.png")]
    assert "got 2 images" in server.client.post("/api/upload", files=two).json()["message"]
    same = [("files", ("a.png", b"1")), ("files", ("a.png", b"2"))]
    assert "twice" in server.client.post("/api/upload", files=same).json()["message"]


def uploads(server: Any) -> list[Path]:
    return sorted(p for p in (server.service.folder / "uploads").rglob("*") if p.is_file())


def test_nothing_is_kept_of_an_upload_that_cannot_be_opened(start: Start, picture: Path, volume: Path) -> None:
    server = start()
    content = picture.read_bytes()
    for files in (
        [("files", ("a.txt", b"text"))],
        [("files", ("broken.nii.gz", b"no gzip at all"))],
        [("files", (name, content)) for name in ("a.png", "b.png")],
    ):
        assert server.client.post("/api/upload", files=files).status_code == 400
        assert uploads(server) == []
    assert server.ok("GET", "/api/worklist")["items"] == []
    # What is there already stays, whoever sends it again among what cannot be opened.
    found = server.client.post("/api/upload", files=[("files", ("a.png", content))]).json()
    kept = uploads(server)
    assert [p.read_bytes() for p in kept] == [content]
    server.client.post("/api/upload", files=[("files", ("a.nii", b"no image"))])
    assert uploads(server) == kept
    assert server.ok("GET", f"/api/images/{found['image']}")["name"] == "a.png"


def test_an_upload_of_several_volumes_is_kept_to_choose_from(start: Start, tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((5, 6, 7, 2), np.int16), np.eye(4)), tmp_path / "two.nii.gz")
    server = start()
    files = [("files", ("two.nii.gz", (tmp_path / "two.nii.gz").read_bytes()))]
    assert server.client.post("/api/upload", files=files).json()["kind"] == "ChoiceError"
    assert len(uploads(server)) == 1
    items = server.ok("GET", "/api/worklist")["items"]
    assert len(items) == 2
    assert server.ok("POST", f"/api/worklist/{items[1]['item']}/open")["shape"] == [7, 6, 5]


def test_a_header_and_its_samples_are_one_image(start: Start, volume: Path, tmp_path: Path) -> None:
    import SimpleITK as sitk  # noqa: N813

    sitk.WriteImage(sitk.ReadImage(str(volume)), str(tmp_path / "scan.mhd"))
    files = [("files", (name, (tmp_path / name).read_bytes())) for name in ("scan.mhd", "scan.raw")]
    found = start().client.post("/api/upload", files=files).json()
    assert (found["name"], found["shape"]) == ("scan.mhd", [12, 30, 40])


def test_what_was_sent_is_read_in_a_process_of_its_own(
    start: Start, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bedside.io import isolated

    with zipfile.ZipFile(tmp_path / "scan.zip", "w") as archive:
        archive.write(picture, "a.png")
    server = start()
    # A library that a damaged file brings down.
    monkeypatch.setattr(isolated, "_PROGRAM", "import os; os.abort()")
    answer = server.client.post("/api/upload", files=[("files", ("a.png", picture.read_bytes()))])
    assert answer.status_code == 400
    assert "gave up" in answer.json()["message"]
    assert "gave up" in server.rejected("POST", "/api/images", 400, {"path": str(tmp_path / "scan.zip")})["message"]
    # A file of the user's own is read here.
    assert server.open(picture)["shape"] == [40, 60]


def test_uploads_name_no_file_but_those_that_were_sent(start: Start, tmp_path: Path) -> None:
    server = start()
    (tmp_path / "private.raw").write_bytes(bytes(12))
    header = "NDims = 2\nDimSize = 3 4\nElementType = MET_UCHAR\nElementDataFile = {}\n"
    for name in (str(tmp_path / "private.raw"), "../../../private.raw", "private.raw"):
        answer = server.client.post("/api/upload", files=[("files", ("a.mhd", header.format(name).encode()))])
        assert answer.status_code == 400, name
    files = [("files", ("a.mhd", header.format("private.raw").encode())), ("files", ("private.raw", bytes(12)))]
    assert server.client.post("/api/upload", files=files).json()["shape"] == [4, 3]


def test_a_zip_unpacks_as_far_as_the_disk_has_room(
    start: Start, tmp_path: Path, volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "scan.zip", "w") as archive:
        archive.write(volume, "a.nii.gz")
    server = start()
    for module in ("places", "routes.sent"):
        monkeypatch.setattr(f"bedside.serve.{module}.free_disk", lambda _: 10)
    said = server.rejected("POST", "/api/images", 413, {"path": str(tmp_path / "scan.zip")})
    assert "room on the disk" in said["message"]
    answer = server.client.post("/api/upload", files=[("files", ("a.nii.gz", volume.read_bytes()))])
    assert answer.status_code == 413
    assert list(server.service.folder.rglob("*.nii.gz")) == []


def test_a_zip_that_declares_more_than_its_code_can_give_is_rejected(
    start: Start, tmp_path: Path, volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bedside.io.bounds import RATIO

    with zipfile.ZipFile(tmp_path / "scan.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.raw", bytes(10_000))
    server = start()
    # In place of an archive that lies, a code that is believed to give less.
    monkeypatch.setitem(RATIO, "deflate", 2)
    said = server.rejected("POST", "/api/images", 400, {"path": str(tmp_path / "scan.zip")})["message"]
    assert "10,000 bytes" in said


def test_a_zip_is_unpacked(start: Start, volume: Path, tmp_path: Path) -> None:
    path = tmp_path / "scan.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(volume, "folder/cubes.nii.gz")
    server = start()
    found = server.open(path)
    assert (found["name"], found["shape"]) == ("scan.zip", [12, 30, 40])
    assert server.open(volume)["image"] == found["image"]


def test_zips_that_hold_no_image_are_rejected(start: Start, tmp_path: Path, picture: Path) -> None:
    server = start()
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\3\4 and nothing more")
    assert "can be unpacked" in server.rejected("POST", "/api/images", 400, {"path": str(broken)})["message"]
    for name, members in (("empty.zip", []), ("two.zip", ["a.png", "b.png"])):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for member in members:
                archive.write(picture, member)
        server.rejected("POST", "/api/images", 400, {"path": str(tmp_path / name)})


def test_a_zip_cannot_leave_its_folder(start: Start, tmp_path: Path, picture: Path) -> None:
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(picture, "../../../../evil.png")
    server = start()
    assert server.open(path)["shape"] == [40, 60]
    assert not list(tmp_path.glob("**/state/evil.png"))
    (unpacked,) = (p for p in server.service.folder.rglob("evil.png"))
    assert unpacked.is_relative_to(server.service.folder / "unpacked")


def test_the_sample_is_there_to_try_things_on(start: Start) -> None:
    server = start()
    found = server.ok("POST", "/api/sample")
    assert (found["dimensions"], found["modality"]) == (3, "CT")
    assert server.ok("POST", "/api/sample")["image"] == found["image"]


def test_images_leave_memory_and_come_back(start: Start, picture: Path, volume: Path) -> None:
    server = start(budget=100_000)
    first = server.open(picture)["image"]
    server.click(first, 12, 8)
    shown = server.mask(first, 1, (40, 60))
    second = server.open(volume)["image"]
    third = server.ok("POST", "/api/sample")["image"]
    assert [i["image"] for i in server.ok("GET", "/api/images")["images"]] == [third]
    calls = [len(g.calls) for g in server.growers]
    assert np.array_equal(server.mask(first, 1, (40, 60)), shown)
    # The answers are in the workspace: coming back asks no model.
    assert [len(g.calls) for g in server.growers] == calls
    assert server.ok("GET", f"/api/images/{second}")["shape"] == [12, 30, 40]


def test_images_within_the_budget_stay(start: Start, picture: Path, volume: Path) -> None:
    server = start()
    numbers = [server.open(picture)["image"], server.open(volume)["image"]]
    assert [i["image"] for i in server.ok("GET", "/api/images")["images"]] == numbers[::-1]
    server.ok("DELETE", f"/api/images/{numbers[0]}")
    assert [i["image"] for i in server.ok("GET", "/api/images")["images"]] == [numbers[1]]
    assert server.ok("GET", f"/api/images/{numbers[0]}")["image"] == numbers[0]


def test_an_image_whose_file_has_gone_is_rejected_by_name(start: Start, picture: Path, volume: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.ok("DELETE", f"/api/images/{image}")
    content = picture.read_bytes()
    picture.unlink()
    assert "nothing there" in server.rejected("GET", f"/api/images/{image}", 400)["message"]
    picture.write_bytes(content)
    assert server.ok("GET", f"/api/images/{image}")["image"] == image
    server.ok("DELETE", f"/api/images/{image}")
    PIL.Image.new("L", (5, 5)).save(picture)
    assert "another image" in server.rejected("GET", f"/api/images/{image}", 404)["message"]


def test_a_file_that_was_replaced_is_another_image(start: Start, picture: Path) -> None:
    server = start()
    first = server.open(picture)
    server.click(first["image"], 15, 10)
    mask = server.mask(first["image"], 1, (40, 60))
    original = picture.read_bytes()
    write_image(picture, Image(np.full((40, 60), 77, np.uint8), Geometry.create((40, 60))))
    second = server.open(picture)
    assert second["image"] != first["image"]
    assert second["range"] == [77, 77]
    assert second["objects"] == []
    # Its own samples come back with its own work, whatever was open in between.
    server.ok("DELETE", f"/api/images/{first['image']}")
    server.rejected("GET", f"/api/images/{first['image']}", 404)
    picture.write_bytes(original)
    third = server.open(picture)
    assert third["image"] == first["image"]
    assert third["range"] == first["range"]
    assert np.array_equal(server.mask(third["image"], 1, (40, 60)), mask)
    again = start()
    assert again.open(picture)["image"] == first["image"]
    assert np.array_equal(again.mask(first["image"], 1, (40, 60)), mask)


def test_unknown_images_are_rejected_on_every_route(start: Start) -> None:
    server = start()
    document = server.ok("GET", "/api/openapi.json")
    bodies = {
        "/api/images/{image}/prompts": {"prompt": {"kind": "point", "position": [1, 1]}},
        "/api/images/{image}/brush": {"box": {"start": [0, 0], "stop": [1, 1]}, "bits": ""},
        "/api/images/{image}/objects/{number}/edit": {"name": "grow"},
        "/api/images/{image}/proposals/take": {"proposals": [1]},
        "/api/images/{image}/objects/remove": {"objects": [1]},
    }
    queries = {"/api/images/{image}/second/slice.npy": "?axis=0&index=0"}
    asked = 0
    for path, methods in document["paths"].items():
        if "{image}" not in path:
            continue
        for method in methods:
            place = path.format(image=77, number=1, prompt=1) + queries.get(path, "")
            problem = server.rejected(
                method.upper(), place, 404, bodies.get(path, {} if method in ("post", "patch") else None)
            )
            assert problem["kind"] == "NotFoundError"
            server.rejected(method.upper(), path.format(image="x", number=1, prompt=1), 422)
            asked += 1
    assert asked > 15
