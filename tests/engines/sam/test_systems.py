"""What single systems need beyond a box: Swin's points and scribble, MCP's content, DAFT's routing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.core.errors import InputError, WeightsError
from bedside.core.image import Image
from bedside.core.modality import MODALITIES, challenge_modality
from bedside.core.prompts import Box
from bedside.engines.loaded import EngineRequest
from bedside.engines.sam.load import SYSTEMS, load_sam
from bedside.engines.sam.systems.daft import experts
from bedside.engines.sam.systems.mcp_medsam import ContentPrompter
from bedside.engines.sam.systems.swin_lite_medsam import box_scribble, content_generator, quadrant_points
from bedside.engines.window.policy import WindowPolicy
from bedside.runtime.backend import Shape
from bedside.weights import store
from bedside.weights.card import WeightsCard, file_sha256
from bedside.weights.models import model_card, model_cards
from bedside.weights.store import WeightsFiles

Make = Callable[..., Any]


def test_every_system_of_the_registry_has_its_description() -> None:
    cards = {card.name: card for card in model_cards() if card.family == "sam"}
    assert SYSTEMS.keys() == cards.keys()
    for name, system in SYSTEMS.items():
        assert (system.name, system.side) == (name, cards[name].grid)


class TestSwin:
    CORNERS = (40.0, 60.0, 140.0, 120.0)

    def prompts(self, make_segmenter: Make, order: list[int]) -> dict[int, Mapping[str, NDArray[Any]]]:
        """Prompts of two boxes on each of two images, asked in ``order``."""
        segmenter, _, decoder = make_segmenter("swin-lite-medsam")
        found = {}
        for number in order:
            image, box = divmod(number, 2)
            array = np.random.default_rng(image).integers(1, 255, (200, 256), dtype=np.uint8)
            segmenter.set_image(Image.from_array(array))
            segmenter.predict([Box((30 + 40 * box, 40), (150 + 40 * box, 160))])
            found[number] = decoder.given[-1]
        return found

    def test_prompts_depend_on_the_slice_and_the_box_and_not_on_the_order(self, make_segmenter: Make) -> None:
        forward, backward = self.prompts(make_segmenter, [0, 1, 2, 3]), self.prompts(make_segmenter, [3, 1, 0, 2])
        for number in range(4):
            assert forward[number].keys() == {"boxes", "points", "scribble"}
            assert forward[number]["points"].shape == (1, 4, 2)
            assert forward[number]["scribble"].shape == (1, 1, 256, 256)
            for key, value in forward[number].items():
                assert np.array_equal(value, backward[number][key])
        assert not np.array_equal(forward[0]["points"], forward[2]["points"])
        assert not np.array_equal(forward[0]["scribble"], forward[1]["scribble"])

    @given(st.integers(0, 2**31))
    def test_each_quarter_of_the_box_has_a_point(self, seed: int) -> None:
        points = quadrant_points(np.ones((256, 256), bool), self.CORNERS, np.random.default_rng(seed))
        x0, y0, x1, y1 = self.CORNERS
        middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
        assert (points >= [x0 + (x1 - x0) / 5 - 1, y0 + (y1 - y0) / 5 - 1]).all()
        assert (points <= [x1 - (x1 - x0) / 5 + 1, y1 - (y1 - y0) / 5 + 1]).all()
        assert (points >= middle).tolist() == [[False, False], [True, False], [False, True], [True, True]]

    def test_an_empty_quarter_gets_the_centre(self) -> None:
        visible = np.ones((256, 256), bool)
        visible[:, 90:] = False
        points = quadrant_points(visible, self.CORNERS, np.random.default_rng(0))
        assert points[[1, 3]].tolist() == [[90, 90], [90, 90]]
        assert (points[[0, 2], 0] < 90).all()

    @given(st.integers(0, 2**31))
    def test_the_scribble_lies_within_the_box_where_there_is_something(self, seed: int) -> None:
        visible = np.zeros((256, 256), bool)
        visible[70:110] = True
        drawn = box_scribble(visible, self.CORNERS, np.random.default_rng(seed))
        assert set(np.unique(drawn)) <= {0.0, 1.0}
        ys, xs = np.nonzero(drawn)
        if xs.size:
            x0, _, x1, _ = self.CORNERS
            assert x0 + (x1 - x0) / 8 - 1 <= xs.min()
            assert xs.max() <= x1 - (x1 - x0) / 8
            assert ys.min() >= 70
            assert ys.max() < 110
            assert xs.size > 5

    def test_nothing_to_see_is_no_scribble(self) -> None:
        assert not box_scribble(np.zeros((256, 256), bool), self.CORNERS, np.random.default_rng(0)).any()

    @given(st.floats(0, 255), st.floats(0, 255), st.floats(0, 255), st.floats(0, 255), st.integers(0, 2**31))
    def test_boxes_of_any_size_have_prompts(self, a: float, b: float, c: float, d: float, seed: int) -> None:
        corners = (min(a, b), min(c, d), max(a, b), max(c, d))
        visible = np.ones((256, 256), bool)
        generator = np.random.default_rng(seed)
        points = quadrant_points(visible, corners, generator)
        assert points.shape == (4, 2)
        assert np.isfinite(points).all()
        assert box_scribble(visible, corners, generator).shape == (256, 256)

    def test_one_pixel_makes_other_prompts(self) -> None:
        pixels = np.zeros((3, 256, 256), np.float32)
        first = content_generator(pixels, self.CORNERS).random()
        assert content_generator(pixels.copy(), self.CORNERS).random() == first
        pixels[0, 5, 5] = 0.5
        assert content_generator(pixels, self.CORNERS).random() != first


class Tower:
    """Describes a crop by its mean, and keeps it."""

    device, precision = "CPU", "fp32"

    def __init__(self) -> None:
        self.crops: list[NDArray[np.float32]] = []

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        self.crops.append(inputs["crops"])
        return {"image_features": np.full((1, 512), inputs["crops"].mean(), np.float32)}


class TestContent:
    def test_a_box_goes_with_its_content_and_modality(self, make_segmenter: Make) -> None:
        tower = Tower()
        segmenter, _, decoder = make_segmenter("mcp-medsam", prompter=ContentPrompter(tower))
        array = np.zeros((300, 400), np.uint8)
        array[100:200, 100:300] = 255
        for modality, number in (("CT", 0), ("DX", 3), ("Microscopy", 10)):
            segmenter.set_image(Image.from_array(array, modality=modality))
            segmenter.predict([Box((100, 100), (300, 200))])
            given = decoder.given[-1]
            assert given["modality"].tolist() == [number]
            assert given["modality"].dtype == np.int64
            assert given["crops"].shape == (1, 3, 64, 64)
            assert tower.crops[-1].shape == (1, 3, 224, 224)
            # The box holds nothing but the bright rectangle.
            assert given["crops"].mean() > 0.97
            assert given["image_features"][0, 0] == pytest.approx(tower.crops[-1].mean())

    @pytest.mark.parametrize("modality", [None, "SEG"])
    def test_an_unknown_modality_is_rejected(self, modality: str | None, make_segmenter: Make) -> None:
        segmenter, _, _ = make_segmenter("mcp-medsam", prompter=ContentPrompter(Tower()))
        segmenter.set_image(Image.from_array(np.zeros((64, 64), np.uint8), modality=modality))
        with pytest.raises(InputError, match=f"expected one of CT, MR, .*got {modality or 'none'}"):
            segmenter.predict([Box((10, 10), (30, 30))])


class FakeBackend:
    """Loads nothing, and keeps what it was asked for."""

    name = "fake"

    def __init__(self) -> None:
        self.loaded: list[tuple[str, str, Shape]] = []

    def version(self) -> str | None:
        return "0"

    def supports(self, device: str) -> bool:
        return True

    def load(self, weights: WeightsFiles, *, shape: Shape, device: str = "auto", precision: str = "auto") -> Any:
        self.loaded.append((weights.name, weights.part, shape))
        return Answering(weights)


class Answering:
    device, precision = "CPU", "fp32"

    def __init__(self, weights: WeightsFiles) -> None:
        self.weights = weights
        self.runs = 0

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        self.runs += 1
        return {"embedding": np.zeros((1, 1)), "logits": np.full((1, 1, 256, 256), -1, np.float32)}


def install(folder: Path, stem: str, model: str, parts: tuple[str, ...] = store.PARTS) -> WeightsFiles:
    """Files of a set that no runtime could load."""
    folder.mkdir(parents=True, exist_ok=True)
    files = WeightsFiles.in_folder(stem, folder, "encoder")
    files.tensors.write_bytes(stem.encode())
    for part in parts:
        files.part_named(part).graph.write_bytes(b"graph")
    WeightsCard(model, "0", file_sha256(files.tensors), "MIT", "a test").save(files.card_path)
    return files


def request(files: WeightsFiles, backend: FakeBackend) -> EngineRequest:
    return EngineRequest(model_card(files.card.name), files, backend, "auto", "fp32")  # type: ignore[arg-type]


class TestRouting:
    def test_every_modality_has_an_expert_and_ends_with_the_general_one(self) -> None:
        for modality in (*MODALITIES, None, "SEG"):
            assert experts(modality)[-1] == "daft"
            for stem in experts(modality)[:-1]:
                assert stem == "lite-medsam" or stem.removeprefix("daft-") in model_card("daft").variants
        assert experts("CT") == ("daft-ct", "daft-3d", "daft")
        assert experts("PT") == experts("PET") == ("daft-3d", "daft")
        assert experts("US") == ("daft-us", "lite-medsam", "daft")
        # The submission fell back to LiteMedSAM.
        assert experts(None) == experts("SEG") == ("lite-medsam", "daft")

    def test_images_go_to_the_best_expert_that_is_installed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path / "mine"))
        general = install(tmp_path / "w", "daft", "daft")
        install(tmp_path / "w", "daft-3d", "daft")
        install(tmp_path / "mine", "daft-x-ray", "daft")
        install(tmp_path / "mine", "lite-medsam", "lite-medsam")
        backend = FakeBackend()
        segmenter, graph = load_sam(request(general, backend))
        assert graph.weights == general  # type: ignore[attr-defined]
        stems = {"daft-3d": tmp_path / "w", "daft-x-ray": tmp_path / "mine", "lite-medsam": tmp_path / "mine"}
        files = {stem: store.WeightsFiles.in_folder(stem, folder, "encoder") for stem, folder in stems.items()}
        known = {stem: found.card.sha256 for stem, found in files.items()}
        assert segmenter.experts == known  # type: ignore[attr-defined]
        for modality, stem in (
            ("MR", "daft-3d"), ("CT", "daft-3d"), ("CR", "daft-x-ray"), ("US", "lite-medsam"), ("Fundus", "daft"),
            (None, "lite-medsam"), ("PET", "daft-3d"),
        ):  # fmt: skip
            segmenter.set_image(Image.from_array(np.zeros((64, 64), np.uint8), modality=modality))
            segmenter.predict([Box((10, 10), (30, 30))])
            network: Any = segmenter._network  # type: ignore[attr-defined]
            assert network.encoder.weights.name == stem
            assert network.decoder.weights.part == "decoder"
            assert network.decoder.runs > 0
            assert network.system.name == ("lite-medsam" if stem == "lite-medsam" else "daft")
        # The expert for volumes was let go for that of ultrasound and loaded again.
        encoders = [name for name, part, _ in backend.loaded if part == "encoder"]
        assert encoders == ["daft", "daft-3d", "daft-x-ray", "lite-medsam", "daft-3d"]

    def test_a_damaged_expert_is_rejected(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(store.FOLDER_VARIABLE, str(tmp_path / "mine"))
        general = install(tmp_path / "w", "daft", "daft")
        install(tmp_path / "w", "daft-3d", "daft").tensors.write_bytes(b"other")
        segmenter, _ = load_sam(request(general, FakeBackend()))
        with pytest.raises(WeightsError, match=r"daft-3d\.safetensors is damaged"):
            segmenter.set_image(Image.from_array(np.zeros((64, 64), np.uint8), modality="MR"))


class TestLoading:
    def test_graphs_are_loaded_for_one_box_at_a_time(self, tmp_path: Path) -> None:
        backend = FakeBackend()
        load_sam(request(install(tmp_path, "swin-lite-medsam", "swin-lite-medsam"), backend))
        prompts = {"boxes": (1, 4), "points": (1, 4, 2), "scribble": (1, 1, 256, 256)}
        assert backend.loaded == [
            ("swin-lite-medsam", "encoder", {"image": (1, 3, 256, 256)}),
            ("swin-lite-medsam", "decoder", prompts),
        ]

    def test_content_needs_its_tower(self, tmp_path: Path) -> None:
        files = install(tmp_path, "mcp-medsam", "mcp-medsam")
        with pytest.raises(WeightsError, match=r"mcp-medsam\.content\.onnx"):
            load_sam(request(files, FakeBackend()))
        files.part_named("content").graph.write_bytes(b"graph")
        backend = FakeBackend()
        load_sam(request(files, backend))
        assert [part for _, part, _ in backend.loaded] == ["content", "encoder", "decoder"]

    def test_windows_are_rejected(self, tmp_path: Path) -> None:
        wish = request(install(tmp_path, "lite-medsam", "lite-medsam"), FakeBackend())
        for window in ("evidence", WindowPolicy()):
            with pytest.raises(InputError, match="it sees whole slices"):
                load_sam(replace(wish, window=window))

    def test_what_is_said_of_prompts_is_what_is_taken(self, tmp_path: Path) -> None:
        segmenter, _ = load_sam(request(install(tmp_path, "lite-medsam", "lite-medsam"), FakeBackend()))
        assert segmenter.capabilities.prompt_kinds == {"box"}
        assert segmenter.capabilities.negative_kinds == frozenset()
        assert segmenter.capabilities.dimensions == (2, 3)


def test_names_of_modalities() -> None:
    for name in MODALITIES:
        assert challenge_modality(name) == challenge_modality(name.lower()) == name
    assert challenge_modality("PT") == "PET"
    assert challenge_modality("OT") is None
    assert challenge_modality(None) is None
    assert challenge_modality("") is None
