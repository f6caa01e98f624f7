"""The parts that need no server: patches, facts, places, the worker's queue, engines, ports."""

from __future__ import annotations

import asyncio
import base64
import socket
import threading
import zipfile
import zlib
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bedside.core.errors import FormatError, InputError, WeightsError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.labels import merge_masks
from bedside.core.mask import PackedMask
from bedside.core.region import Region
from bedside.serve import places
from bedside.serve.engines import KEPT, Engines, SharedModel
from bedside.serve.errors import TooLargeError
from bedside.serve.facts import facts_of
from bedside.serve.listeners import BACKLOG, Listener
from bedside.serve.patches import Layer, crop, decode_bits, encode, encode_bits, paint_labels, whole_box
from bedside.serve.server import DEFAULT_PORT, listen, new_token
from bedside.serve.worker import Job, Worker, take_group
from bedside.worklist.outlines import BESIDE

SHAPE = (4, 5, 6)
MASKS = hnp.arrays(np.uint8, SHAPE, elements=st.integers(0, 1))


def packed(mask: Any) -> PackedMask:
    return PackedMask.of_patch(mask, Region.whole(mask.shape))


# Patches


@given(mask=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=3), elements=st.integers(0, 1)))
def test_bits_come_back(mask: Any) -> None:
    assert np.array_equal(decode_bits(encode_bits(mask), mask.shape), mask)


def test_the_first_voxel_is_the_highest_bit_and_x_runs_fastest() -> None:
    mask = np.zeros((2, 3), np.uint8)
    mask[0, 0] = mask[1, 0] = 1
    assert zlib.decompress(base64.b64decode(encode_bits(mask))) == bytes([0b10010000])
    labels = np.array([[1, 258]], np.uint16)
    assert zlib.decompress(base64.b64decode(encode(labels))) == bytes([1, 0, 2, 1])


@given(masks=st.lists(MASKS, min_size=1, max_size=4), data=st.data())
def test_labels_of_a_box_are_the_box_of_all_labels(masks: list[Any], data: st.DataObject) -> None:
    layers = [Layer(number, packed(mask)) for number, mask in enumerate(masks, start=1)]
    start = [data.draw(st.integers(0, n - 1)) for n in SHAPE]
    box = Region(tuple(start), tuple(data.draw(st.integers(a + 1, n)) for a, n in zip(start, SHAPE, strict=True)))
    for policy in ("keep", "overwrite"):
        expected = merge_masks(masks, policy)  # type: ignore[arg-type]
        painted = paint_labels(layers, box, policy)  # type: ignore[arg-type]
        assert np.array_equal(painted, expected[box.slices])
    assert np.array_equal(crop(layers[0].mask, box), masks[0][box.slices])
    union = whole_box(layers, 3)
    assert np.count_nonzero(merge_masks(masks)[union.slices]) == np.count_nonzero(merge_masks(masks))


# Facts


def volume_of(values: Any, **fields: Any) -> Image:
    array = np.resize(np.asarray(values), (4, 20, 20))
    return Image(array, Geometry.create(array.shape, (1, 1, 1)), **fields)


def test_a_volume_with_air_in_it_is_taken_for_a_ct() -> None:
    facts = facts_of(volume_of(np.array([-1000] * 5 + [0, 40, 60, 300], np.int16)))
    assert (facts.modality, facts.guessed, facts.window.name) == ("CT", True, "CT abdomen")
    assert [p.name for p in facts.presets][-1] == "full range"
    assert facts_of(volume_of(np.arange(500, dtype=np.int16))).modality is None
    assert facts_of(volume_of(np.array([-1000, 0, 50], np.int16), modality="MR")).window.name == "percentiles 1 to 99"


def test_a_window_of_the_file_comes_first_but_not_before_that_of_ct() -> None:
    own = {"metadata": {"window": (100.0, 50.0)}}
    assert facts_of(volume_of(np.arange(99), modality="MR", **own)).window.level == 100
    names = [p.name for p in facts_of(volume_of(np.arange(99), modality="CT", **own)).presets]
    assert names[:2] == ["CT abdomen", "of the file"]


def test_values_that_are_no_numbers_are_left_out() -> None:
    facts = facts_of(volume_of(np.array([np.nan, np.inf, 1.0, 3.0], np.float32)))
    assert (facts.low, facts.high) == (1.0, 3.0)
    assert facts_of(volume_of(np.array([np.nan], np.float32))).window.width > 0
    assert facts_of(volume_of(np.array([7], np.uint8))).window.width > 0


# Places


@given(st.lists(st.integers(0, 200), unique=True))
def test_names_sort_by_their_numbers(numbers: list[int]) -> None:
    names = [f"slice {n} of x.png" for n in numbers]
    assert sorted(names, key=places.natural) == [f"slice {n} of x.png" for n in sorted(numbers)]


@given(st.text(max_size=60))
def test_names_from_strangers_stay_in_their_folder(name: str) -> None:
    root = Path("/somewhere/safe")
    try:
        path = places.safe_relative(name)
    except InputError:
        return
    assert not path.is_absolute()
    assert (root / path).resolve().is_relative_to(root)
    assert ".." not in path.parts


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../../etc/passwd", "etc/passwd"),
        ("/abs/scan.nii", "abs/scan.nii"),
        ("C:\\Users\\x\\scan.nii", "Users/x/scan.nii"),
        ("a/../../b.png", "a/b.png"),
        (".hidden", "hidden"),
        ("scan (1) [v2]+.nii.gz", "scan (1) [v2]+.nii.gz"),
        ("a\0b<c>.png", "a_b_c_.png"),
    ],
)
def test_names_are_made_safe(name: str, expected: str) -> None:
    assert places.safe_relative(name) == Path(expected)


def test_a_zip_that_lies_about_its_size_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.nii", bytes(10**6))
    monkeypatch.setattr(places, "UPLOAD_LIMIT", 10**5)
    with pytest.raises(TooLargeError):
        places.unpack(path, tmp_path / "unpacked")
    assert list((tmp_path / "unpacked").iterdir()) == []
    monkeypatch.setattr(places, "MEMBERS", 0)
    with pytest.raises(TooLargeError, match="at most 0 files"):
        places.unpack(path, tmp_path / "unpacked")


def test_masks_that_were_saved_beside_an_image_are_not_on_the_worklist(tmp_path: Path) -> None:
    for name in ("scan.png", "scan-labels.png", "other-labels.png"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / f".scan-labels{BESIDE}").write_text("{}")
    assert [place.name for place in places.find_images(tmp_path)] == ["other-labels.png", "scan.png"]


def test_a_folder_that_cannot_be_listed_holds_nothing(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no image here"):
        places.find_images(tmp_path / "missing")


# The worker's queue


def job(name: str, image: int = 1, key: int | None = 1, answers: bool = True) -> Job:
    return Job(image, lambda _: None, None if key is None else (image, key), answers, content=name)


@pytest.mark.parametrize(
    ("jobs", "group"),
    [
        ([job("a"), job("b"), job("c")], "abc"),
        ([job("a"), job("b", key=2), job("c")], "ac"),
        ([job("a"), job("b", image=2), job("c")], "ac"),
        ([job("a"), job("undo", key=None), job("c")], "a"),
        ([job("a"), job("undo", image=2, key=None), job("c")], "ac"),
        ([job("a"), job("b", answers=False), job("c")], "abc"),
        ([job("a"), job("b", answers=False)], "a"),
        ([job("a", answers=False), job("b")], "a"),
        ([job("a", key=None), job("b", key=None)], "a"),
    ],
)
def test_which_jobs_are_done_together(jobs: list[Job], group: str) -> None:
    queue = deque(jobs)
    assert [j.content for j in take_group(queue)] == list(group)
    assert [j.content for j in queue] == [j.content for j in jobs if j.content not in group]


def test_a_job_that_fails_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    worker, done = Worker(), threading.Event()
    worker.submit(Job(1, lambda _: 1 / 0))  # type: ignore[arg-type, return-value]
    worker.submit(Job(1, lambda _: done.set()))
    assert done.wait(10)
    assert "a job failed" in caplog.text
    assert worker.stop(10)


def test_stopping_forgets_what_waits_and_does_not_wait_for_long() -> None:
    worker, reached, go_on, late = Worker(), threading.Event(), threading.Event(), threading.Event()
    worker.submit(Job(1, lambda _: (reached.set(), go_on.wait(20))))  # type: ignore[arg-type, return-value]
    worker.submit(Job(1, lambda _: late.set()))
    assert reached.wait(10)
    assert not worker.stop(0.01)
    go_on.set()
    assert worker.stop(10)
    assert not late.is_set()


# Listeners


def test_a_listener_that_is_too_slow_is_let_go() -> None:
    async def listen_slowly() -> list[str | None]:
        listener = Listener()
        for number in range(BACKLOG):
            listener.tell_text(str(number))
        heard = [await listener.next()]
        listener.tell_text("fits")
        listener.tell_text("one too many")
        return [*heard, await listener.next()]

    assert asyncio.run(listen_slowly()) == ["0", None]


# Engines


class Counting:
    """A segmenter that counts the images it is shown."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.images: list[Any] = []

    def set_image(self, image: Any) -> None:
        self.images.append(image)

    def predict(self, prompts: Any, previous: Any, fresh: int) -> Any:
        return prompts


def test_images_take_turns_on_one_model() -> None:
    loaded: list[Any] = []

    def load(name: str) -> Any:
        loaded.append(Counting(name))
        return loaded[-1]

    engines = Engines(load)
    first, second = SharedModel(engines, "m"), SharedModel(engines, "m")
    first.set_image("A")  # type: ignore[arg-type]
    second.set_image("B")  # type: ignore[arg-type]
    assert loaded == []
    for shared in (first, first, second, first):
        shared.predict([])
    assert [e.images for e in loaded] == [["A", "B", "A"]]


def test_only_a_few_models_stay_loaded() -> None:
    loaded: list[str] = []

    def load(name: str) -> Any:
        loaded.append(name)
        return Counting(name)

    engines = Engines(load)
    for name in [*"abcdef"[: KEPT + 1], "a"]:
        engines.get(name)
    assert loaded == [*"abcdef"[: KEPT + 1], "a"]
    engines.get("a")
    assert loaded[-1] == "a"


def test_why_a_model_could_not_be_loaded_is_remembered() -> None:
    def load(name: str) -> Any:
        raise WeightsError("damaged")

    engines = Engines(load)
    assert next(m for m in engines.models() if m.name == "bedside-2d").reason is None
    with pytest.raises(WeightsError):
        engines.get("bedside-2d")
    found = next(m for m in engines.models() if m.name == "bedside-2d")
    assert (found.available, found.reason) == (False, "damaged")


# Ports and tokens


def test_the_next_port_is_taken_when_the_default_is_in_use() -> None:
    first = listen(None)
    second = listen(None)
    assert DEFAULT_PORT <= first.port < second.port
    assert first.url == f"http://127.0.0.1:{first.port}/"
    assert first.opened_url == f"{first.url}?token={first.token}"
    assert first.token != second.token
    with pytest.raises(InputError, match=f"--port {first.port}: expected a free port"):
        listen(first.port)
    first.listening.close()
    second.listening.close()


def test_only_this_machine_is_listened_to() -> None:
    with pytest.raises(InputError, match="for this machine"):
        listen(0, "0.0.0.0")
    address = listen(0, "localhost")
    assert address.listening.getsockname()[0] == "127.0.0.1"
    address.listening.close()


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_the_other_loopback() -> None:
    try:
        address = listen(0, "::1")
    except InputError:
        pytest.skip("no IPv6 loopback here")
    assert address.url == f"http://[::1]:{address.port}/"
    address.listening.close()


def test_a_token_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEDSIDE_TOKEN", "my-own-token-for-tests")
    assert new_token() == "my-own-token-for-tests"
    for bad in ("short", "with spaces in the token", "semicolon;semicolon;"):
        monkeypatch.setenv("BEDSIDE_TOKEN", bad)
        with pytest.raises(InputError, match="BEDSIDE_TOKEN"):
            new_token()
    monkeypatch.delenv("BEDSIDE_TOKEN")
    assert len(new_token()) >= 24
