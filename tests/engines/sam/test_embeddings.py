"""Embeddings on the disk: what they are found by, what is left of them, and what they leave as it is."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.image import Image
from bedside.core.prompts import Box
from bedside.engines.sam.embeddings import (
    FOLDER_VARIABLE,
    LIMIT_VARIABLE,
    EmbeddingStore,
    KeptEncoder,
    checksum,
    chosen_limit,
    chosen_store,
    read_embedding,
)
from bedside.engines.sam.load import BOXES
from bedside.engines.sam.policy import SlicePolicy
from bedside.engines.sam.slices import SliceSegmenter

MADE_BY = {"model": "m", "weights": "w", "precision": "fp32"}
BIG = 1e9


class Doubling:
    device, precision = "CPU", "fp32"

    def __init__(self) -> None:
        self.runs = 0

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        self.runs += 1
        return {"embedding": 2 * inputs["image"], "other": inputs["image"][:1, :1]}


def picture(value: float) -> dict[str, NDArray[Any]]:
    return {"image": np.full((1, 3, 8, 8), value, np.float32)}


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*"))


@given(
    values=st.dictionaries(
        st.text("abc", min_size=1, max_size=3),
        arrays.arrays(
            st.sampled_from([np.dtype("float32"), np.dtype("float16"), np.dtype("int64")]),
            arrays.array_shapes(max_dims=4, max_side=4),
        ),
        min_size=1,
    )
)
def test_features_come_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, NDArray[Any]]
) -> None:
    store = EmbeddingStore(tmp_path_factory.mktemp("store"), BIG)
    store.put("ab" * 32, values, MADE_BY)
    found = store.get("ab" * 32)
    assert found is not None
    assert found.keys() == values.keys()
    for name, array in values.items():
        assert found[name].dtype == array.dtype
        assert found[name].tobytes() == np.ascontiguousarray(array).tobytes()


def test_an_image_is_encoded_once(tmp_path: Path) -> None:
    encoder = Doubling()
    for _ in range(3):
        kept = KeptEncoder(encoder, EmbeddingStore(tmp_path, BIG), MADE_BY)
        found = kept.run(picture(0.5))
        np.testing.assert_array_equal(found["embedding"], np.ones((1, 3, 8, 8), np.float32))
        assert found.keys() == {"embedding", "other"}
    assert encoder.runs == 1
    assert len(files(tmp_path)) == 1


def test_anything_that_decides_an_embedding_gives_another(tmp_path: Path) -> None:
    encoder, store = Doubling(), EmbeddingStore(tmp_path, BIG)
    KeptEncoder(encoder, store, MADE_BY).run(picture(0.5))
    others: list[tuple[dict[str, str], dict[str, NDArray[Any]]]] = [
        ({**MADE_BY, "weights": "v"}, picture(0.5)),
        ({**MADE_BY, "precision": "bf16"}, picture(0.5)),
        (MADE_BY, picture(np.nextafter(np.float32(0.5), np.float32(1)))),
        (MADE_BY, {"image": picture(0.5)["image"].reshape(1, 3, 4, 16)}),
    ]
    for runs, (made_by, inputs) in enumerate(others, start=2):
        KeptEncoder(encoder, store, made_by).run(inputs)
        assert encoder.runs == runs
    assert len({checksum(inputs) for _, inputs in others}) == 3


@pytest.mark.parametrize("damage", ["short", "changed", "empty", "foreign"])
def test_a_damaged_file_is_made_again(tmp_path: Path, damage: str) -> None:
    encoder, store = Doubling(), EmbeddingStore(tmp_path, BIG)
    kept = KeptEncoder(encoder, store, MADE_BY)
    whole = kept.run(picture(0.5))
    (path,) = files(tmp_path)
    content = path.read_bytes()
    changed = content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]
    path.write_bytes({"short": content[:-9], "changed": changed, "empty": b"", "foreign": b"text" * 9}[damage])
    assert read_embedding(path) is None
    again = kept.run(picture(0.5))
    assert encoder.runs == 2
    np.testing.assert_array_equal(again["embedding"], whole["embedding"])
    assert files(tmp_path) == [path]
    assert read_embedding(path) is not None


def test_those_used_longest_ago_go_first(tmp_path: Path) -> None:
    encoder = Doubling()
    whole = KeptEncoder(encoder, EmbeddingStore(tmp_path, BIG), MADE_BY)
    for number in range(10):
        whole.run(picture(number))
        (newest,) = set(files(tmp_path)) - {p for p in files(tmp_path) if p.stat().st_mtime_ns < 1e15}
        os.utime(newest, ns=(number * 10**9, number * 10**9))
    size = sum(p.stat().st_size for p in files(tmp_path))
    whole.run(picture(0))
    assert encoder.runs == 10
    store = EmbeddingStore(tmp_path, BIG)
    assert store.prune(size) == 0
    assert store.prune(size * 0.5) == 6
    # The first was used again just now.
    for number, runs in ((0, 10), (9, 10), (8, 10), (1, 11)):
        KeptEncoder(encoder, store, MADE_BY).run(picture(number))
        assert encoder.runs == runs


def test_the_limit_holds_while_images_come(tmp_path: Path) -> None:
    encoder = Doubling()
    KeptEncoder(encoder, EmbeddingStore(tmp_path / "one", BIG), MADE_BY).run(picture(0))
    one = files(tmp_path / "one")[0].stat().st_size
    kept = KeptEncoder(encoder, EmbeddingStore(tmp_path / "few", 5.5 * one), MADE_BY)
    for number in range(30):
        kept.run(picture(number))
        assert len(files(tmp_path / "few")) <= 5


def test_a_store_that_cannot_be_written_leaves_the_answer_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    encoder = Doubling()
    kept = KeptEncoder(encoder, EmbeddingStore(tmp_path / "file", BIG), MADE_BY)
    assert kept.run(picture(1))["embedding"].max() == 2
    assert (tmp_path / "file").read_text() == "no folder"


def run_many(folder: Path, results: multiprocessing.Queue[bool]) -> None:
    encoder = Doubling()
    kept = KeptEncoder(encoder, EmbeddingStore(folder, 40_000), MADE_BY)
    sound = True
    for turn in range(120):
        number = turn * 7 % 40
        sound &= bool((kept.run(picture(number))["embedding"] == 2 * number).all())
    results.put(sound)


@pytest.mark.slow
def test_processes_write_and_remove_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[bool] = context.Queue()
    processes = [context.Process(target=run_many, args=(tmp_path, results)) for _ in range(3)]
    for process in processes:
        process.start()
    assert [results.get(timeout=120) for _ in processes] == [True] * 3
    for process in processes:
        process.join(30)
    assert all(read_embedding(path) is not None for path in files(tmp_path))
    assert not list(tmp_path.rglob(".bedside-*"))
    assert sum(p.stat().st_size for p in files(tmp_path)) <= 45_000


@pytest.mark.parametrize("shape", [(120, 200), (6, 90, 110)])
def test_masks_are_the_same_with_and_without(
    tmp_path: Path, shape: tuple[int, ...], make_segmenter: Callable[..., Any]
) -> None:
    array = np.full(shape, 10, np.uint8)
    array[..., 30:60, 40:80] = 240
    image = Image.from_array(array)
    box = Box((40, 30, 1)[: len(shape)], (80, 60, 5)[: len(shape)])
    plain, encoder, _ = make_segmenter()
    network = plain._choose(image)
    kept = replace(network, encoder=KeptEncoder(encoder, EmbeddingStore(tmp_path, BIG), MADE_BY))

    def mask(chosen: Any) -> NDArray[np.uint8]:
        segmenter = SliceSegmenter("lite-medsam", lambda _: chosen, BOXES, SlicePolicy())
        segmenter.set_image(image)
        whole = np.zeros(shape, np.uint8)
        segmenter.predict([box]).paste(whole)
        return whole

    without = mask(network)
    assert without.any()
    np.testing.assert_array_equal(mask(kept), without)
    runs = len(encoder.images)
    np.testing.assert_array_equal(mask(kept), without)
    assert len(encoder.images) == runs
    # All of it may be encoded before.
    before = SliceSegmenter("lite-medsam", lambda _: kept, BOXES, SlicePolicy())
    assert before.encode(image) == (1 if len(shape) == 2 else shape[0])
    runs = len(encoder.images)
    assert before.encode(image)
    assert len(encoder.images) == runs


def test_it_is_off_unless_a_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    assert chosen_store() is None
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setenv(LIMIT_VARIABLE, "2.5")
    store = chosen_store()
    assert store is not None
    assert (store.folder, store.limit) == (tmp_path, 2.5e9)
    for wrong in ("0", "-1", "ten", "nan", "inf"):
        monkeypatch.setenv(LIMIT_VARIABLE, wrong)
        with pytest.raises(InputError, match="BEDSIDE_EMBEDDINGS_GB: expected a number above 0"):
            chosen_limit()
