"""The client against a real server: its masks are those of a session given the same prompts."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bedside
from bedside.client import Client, RemoteSession
from bedside.core.errors import ChoiceError, FormatError, InputError, PromptError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.prompts import Box, Point
from bedside.io import read_image, read_mask, write_image
from tests.support.ui_server import running_ui

SHAPE = (12, 60, 72)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("client")
    volume = np.random.default_rng(0).normal(0, 20, SHAPE)
    volume[3:9, 14:36, 20:44] += 400
    direction = [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    grid = Geometry.create(SHAPE, (0.8, 0.9, 3.0), (-10.0, 20.0, 5.0), direction)
    write_image(place / "scan.nii.gz", Image(volume.astype(np.int16), grid, modality="MR"))
    y, x = np.mgrid[:120, :140]
    discs = np.hypot(y - 40, x - 50) < 22
    picture = (60 + 90 * discs + np.random.default_rng(1).normal(0, 6, discs.shape)).clip(0, 255)
    write_image(place / "a picture of größe.png", Image(picture.astype(np.uint8), Geometry.create(discs.shape)))
    return place


@pytest.fixture(scope="module")
def told(folder: Path) -> Iterator[dict[str, Any]]:
    """The line of JSON that ``bedside ui`` prints."""
    with running_ui(folder) as line:
        yield line


@pytest.fixture(scope="module")
def server(told: dict[str, Any], folder: Path) -> Iterator[Client]:
    for _ in range(100):
        try:
            with Client(told["url"], token_file=folder / "token") as client:
                yield client
            return
        except InputError:
            time.sleep(0.1)


@pytest.fixture
def volume(server: Client, folder: Path) -> Iterator[RemoteSession]:
    session = server.open(folder / "scan.nii.gz")
    yield session
    for found in session.objects:
        session.delete_object(found.id)


def test_masks_are_those_of_a_session(server: Client, folder: Path, volume: RemoteSession) -> None:
    here = bedside.Session(folder / "scan.nii.gz")
    for session in (here, volume):
        changed = session.add_box((19, 13, 2), (45, 37, 10))
        assert changed is not None
        assert not changed.is_empty
        session.add_point((30, 24, 6))
        session.add_scribble([(50, 50, 6), (60, 55, 6)], positive=False)
        session.add_object("second", "#ff0000", 7)
        session.add_point((-27.0, 44.0, 20.0), frame="world")
        session.add_lasso([(20, 14, 5), (40, 14, 5), (40, 34, 5)])
    assert volume.geometry.matches(here.image.geometry)
    assert volume.model == here.model
    assert [(o.id, o.name, o.label, o.voxels) for o in volume.objects] == [
        (o.id, o.name, o.label, o.voxels) for o in here.objects
    ]
    assert volume.current is not None
    assert (volume.current.id, volume.current.colour) == (2, "#ff0000")
    for number, mask in here.masks.items():
        assert np.array_equal(volume.mask_of(number), mask)
    assert np.array_equal(volume.label_map("overwrite"), here.label_map("overwrite"))
    assert np.array_equal(volume.mask, here.mask)
    assert list(volume.prompts(1).values()) == [p.prompt for p in here.objects[0].prompts]
    for session in (here, volume):
        assert session.undo(1) is not None
        assert session.redo(2) is None
    assert np.array_equal(volume.mask_of(1), here.mask_of(1))
    again = bedside.Session.from_journal(volume.journal, folder / "scan.nii.gz")
    for number, mask in again.masks.items():
        assert np.array_equal(volume.mask_of(number), mask)


def test_what_annotators_do(volume: RemoteSession, folder: Path, tmp_path: Path) -> None:
    true = np.zeros(SHAPE, np.uint8)
    true[3:9, 14:36, 20:44] = 1
    true[5, 20, 20:30] = 0
    assert volume.set_mask(true) is not None
    assert np.array_equal(volume.mask, true)
    assert volume.add_point((30, 24, 6), predict=False) is None
    number = next(iter(volume.prompts()))
    volume.edit("fill-holes")
    assert volume.mask.sum() >= true.sum()
    (first,) = volume.objects
    volume.change_object(first.id, name="block", label=4)
    (first,) = volume.objects
    assert (first.name, first.label, first.unit) == ("block", 4, "ml")
    assert first.box is not None
    volume.save_segmentation(tmp_path / "mask.nrrd")
    saved = read_mask(tmp_path / "mask.nrrd")
    assert saved.geometry.matches(volume.geometry)
    assert np.array_equal(saved.array, volume.label_map())
    assert set(np.unique(saved.array)) == {0, 4}
    (opened,) = volume.open_segmentation(tmp_path / "mask.nrrd")
    assert opened.id != first.id
    assert np.array_equal(volume.mask_of(opened.id), volume.mask_of(first.id))
    volume.select(first.id)
    assert volume.current is not None
    assert volume.current.id == first.id
    suggested = volume.suggest()
    assert suggested is None or isinstance(suggested, Point)
    volume.remove_prompt(number)
    assert volume.cancel() == 0


def test_a_picture_is_sent(server: Client, folder: Path, tmp_path: Path) -> None:
    path = folder / "a picture of größe.png"
    session = server.upload(path)
    here = bedside.Session(path)
    for one in (session, here):
        one.add_box((26, 16), (74, 64))
    assert np.array_equal(session.mask, here.mask)
    assert session.name == path.name
    assert session.name in [s.name for s in server.images()]
    session.close()
    assert session.name not in [s.name for s in server.images()]
    assert "bedside-2d" in server.models()
    assert server.version == bedside.__version__


COLOURS = (np.random.default_rng(2).random((40, 50, 3)) * 200).astype(np.uint8)


@pytest.mark.parametrize("spacing", [None, (0.8, 0.9, 2.7)])
@pytest.mark.parametrize("colour", [False, True])
def test_an_image_is_sent_from_memory(server: Client, spacing: Any, colour: bool) -> None:
    array = COLOURS if colour else np.random.default_rng(1).normal(0, 1, (6, 40, 50))
    if colour:
        array[10:30, 12:40] += 40
    else:
        array[2:4, 10:30, 12:40] += 30
    image = Image.from_array(array, spacing if spacing is None else spacing[: 2 if colour else 3])
    session, here = server.send(image, "../größe: 1"), bedside.Session(image)
    assert session.name.startswith("größe- 1.")
    assert session.geometry.spacing_known is (spacing is not None)
    assert session.geometry.spacing == image.geometry.spacing
    for one in (session, here):
        one.add_box((12, 10) if colour else (12, 10, 2), (40, 30) if colour else (40, 30, 4))
        one.add_object(label=300)
        one.add_point((20, 20) if colour else (20, 20, 3))
    assert np.array_equal(session.label_map(), here.label_map())
    assert session.label_map().dtype == here.label_map().dtype
    assert [one.grade for one in session.objects] == [one.grade for one in here.objects]
    # The same samples are the same image, with the work on it.
    assert [one.voxels for one in server.send(image, "../größe: 1").objects] == [one.voxels for one in here.objects]


def test_a_label_map_of_many_objects_is_that_of_a_few(volume: RemoteSession, monkeypatch: pytest.MonkeyPatch) -> None:
    volume.add_box((19, 13, 2), (45, 37, 10))
    volume.add_object()
    volume.add_box((10, 10, 2), (35, 30, 8))
    apart = [volume.label_map(policy) for policy in ("keep", "overwrite")]
    monkeypatch.setattr("bedside.client.session._APART", 1)
    for policy, few in zip(("keep", "overwrite"), apart, strict=True):
        np.testing.assert_array_equal(volume.label_map(policy), few)
    assert not np.array_equal(*apart)


def test_errors_are_the_servers_own(server: Client, volume: RemoteSession, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="outside"):
        volume.add_point((500, 2, 2))
    with pytest.raises(InputError, match="object"):
        volume.mask_of(99)
    with pytest.raises(InputError, match="expected one of"):
        volume.undo(99)
    with pytest.raises(InputError, match="begin with a prompt"):
        volume.edit("fill-holes")
    with pytest.raises(FormatError):
        server.open(tmp_path / "missing.nii.gz")
    with pytest.raises(FormatError, match="nothing there"):
        server.upload(tmp_path / "missing.nii.gz")
    (tmp_path / "text.txt").write_text("no image")
    with pytest.raises(FormatError):
        server.upload(tmp_path / "text.txt")
    volume.add_point((30, 24, 6))
    image = (folder / "scan.nii.gz").read_bytes()
    with pytest.raises(InputError, match="never overwritten"):
        volume.save_segmentation(folder / "scan.nii.gz")
    assert (folder / "scan.nii.gz").read_bytes() == image
    with pytest.raises(InputError, match="no folder"):
        volume.save_segmentation(tmp_path / "missing" / "mask.nii.gz")
    assert not (tmp_path / "missing").exists()
    older = tmp_path / "mask.nii.gz"
    older.write_bytes(b"older")
    with pytest.raises(FormatError, match="cannot write this format"):
        volume.save_segmentation(tmp_path / "mask.xyz")
    with pytest.raises(InputError):
        volume.save_segmentation(older, form="dicom-seg")
    assert older.read_bytes() == b"older"


def moments(place: Path) -> Path:
    """A file of two volumes, on the grid of the scan's middle."""
    import nibabel

    values = np.stack([np.full((72, 60, 12), v, np.int16) for v in (1, 2)], axis=-1)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-0.8, -0.9, 3.0, 1.0])), place)
    return place


def test_what_there_is_to_choose_from_is_named_as_calls_take_it(
    server: Client, volume: RemoteSession, folder: Path, tmp_path: Path
) -> None:
    path = moments(tmp_path / "moments.nii.gz")
    for _ in range(2):
        with pytest.raises(ChoiceError, match=r"name one: volume=0 \(.*\), volume=1 \(") as told:
            server.open(path)
        assert "REST" not in str(told.value)
    assert server.open(path, volume=1).info["range"] == [2, 2]
    with pytest.raises(ChoiceError, match=r"open '.*moments\.nii\.gz', where it lies now, and name one: volume=0"):
        server.upload(path)
    with pytest.raises(ChoiceError, match=r"name one: volume=0"):
        volume.link(path)
    with pytest.raises(ChoiceError, match=r"name one: prior_volume=0 \(.*\), prior_volume=1"):
        volume.open_segmentation(folder / "scan.nii.gz", prior=path)


def test_a_volume_is_no_picture(volume: RemoteSession, tmp_path: Path) -> None:
    volume.add_point((30, 24, 6))
    with pytest.raises(FormatError, match=r"^mask\.png: PNG cannot hold 3 axes; use one of \.mha, \.nii"):
        volume.save_segmentation(tmp_path / "masks.png")
    assert not (tmp_path / "masks.png").exists()


def test_a_second_image_is_linked(server: Client, volume: RemoteSession, folder: Path, tmp_path: Path) -> None:
    scan = read_image(folder / "scan.nii.gz")
    hot = np.zeros(SHAPE, np.float32)
    hot[4:8, 40:52, 50:62] = 300
    write_image(tmp_path / "pet.nii.gz", Image(hot, scan.geometry))
    assert volume.second is None
    told = volume.link(tmp_path / "pet.nii.gz")
    assert (told.name, told.overlap, told.shift) == ("pet.nii.gz", 1, None)
    assert told.geometry.matches(scan.geometry)
    assert volume.second == told
    assert np.allclose(volume.second_slice(0, 5), hot[5], atol=0.01)
    here = bedside.Session(folder / "scan.nii.gz")
    here.link(tmp_path / "pet.nii.gz")
    prompts = [Box((48, 38, 3), (64, 54, 9)), Point((70, 58, 6), positive=False)]
    for prompt in prompts:
        assert volume.add_on_second(prompt) == here.add_on_second(prompt)
    assert np.array_equal(volume.mask, here.mask)
    assert volume.mask[6, 46, 56]
    assert not volume.mask[6, 24, 30]
    with pytest.raises(InputError, match=r"the second image.*a volume"):
        volume.link(folder / "a picture of größe.png")
    volume.unlink()
    with pytest.raises(InputError, match="has no second image"):
        volume.add_on_second(Point((56, 46, 6)))


def test_who_may_ask(told: dict[str, Any], server: Client, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stat.S_IMODE((folder / "token").stat().st_mode) == 0o600
    monkeypatch.delenv("BEDSIDE_TOKEN", raising=False)
    with pytest.raises(InputError, match="the token of the server's start"):
        Client(told["url"])
    with pytest.raises(bedside.BedsideError, match="no access"):
        Client(told["url"], token="another-token-of-length")
    Client(told["opened_url"]).disconnect()
    Client(told["url"], token=f"{told['token']}\n").disconnect()
    with pytest.raises(InputError, match="letters and digits") as caught:
        Client(told["url"], token="geheim-größer")
    assert "geheim" not in str(caught.value)
    monkeypatch.setenv("BEDSIDE_TOKEN", told["token"])
    Client(told["url"]).disconnect()
    with pytest.raises(InputError, match="expected as http"):
        Client("127.0.0.1:8765", token="x")
    with pytest.raises(InputError, match="expected a running 'bedside ui'"):
        Client("http://127.0.0.1:1", token="x")


def test_a_connection_that_was_closed_is_opened_again(server: Client, volume: RemoteSession) -> None:
    volume.add_point((30, 24, 6))
    before = volume.mask
    server.disconnect()
    assert np.array_equal(volume.mask, before)
    # The server closes what is idle for five seconds.
    time.sleep(7)
    assert volume.add_point((31, 25, 6)) is not None


def test_the_token_of_a_file_is_kept(folder: Path, told: dict[str, Any]) -> None:
    from bedside.serve.server import kept_token

    assert kept_token(folder / "token") == told["token"]
    with pytest.raises(FormatError, match="--token-file"):
        kept_token(folder / "no" / "token")
    (folder / "bad").write_text("short\n")
    with pytest.raises(InputError, match="letters and digits"):
        kept_token(folder / "bad")
