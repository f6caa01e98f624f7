from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bedside.core.errors import FormatError, WeightsError
from bedside.core.modality import MODALITIES
from bedside.data.store import Store
from bedside.engines.sam.content import crop_input
from bedside.engines.sam.networks.mcp_medsam import CLIP_SIDE, CLIP_WIDTH
from bedside.engines.sam.training.features import FeatureBank, PublishedTower, StandInTower, compute_features, describe
from bedside.engines.sam.training.slices import SliceTable


class MeanTower:
    """Says how bright a crop is, and how long a text."""

    def image_features(self, crops: Tensor) -> Tensor:
        return crops.mean((1, 2, 3))[:, None].expand(-1, CLIP_WIDTH)

    def text_features(self, texts: Sequence[str]) -> Tensor:
        assert list(texts) == [f"{name} Image" for name in MODALITIES]
        return torch.tensor([[float(len(text))] * CLIP_WIDTH for text in texts])


def quiet(line: str) -> None:
    del line


def test_features_are_those_of_what_each_object_s_box_holds(store: Store, tmp_path: Path) -> None:
    table = SliceTable(store, ["US"])
    bank = compute_features(MeanTower(), [table, SliceTable(store, ["CT"])], quiet)
    part = table.slices[1]
    mask = part.mask(0, 1)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    held = crop_input(part.colours()[rows[0] : rows[-1], columns[0] : columns[-1]], CLIP_SIDE)
    features = bank.read(part.key, 0, 1)
    assert features.shape == (CLIP_WIDTH,)
    assert features[0] == pytest.approx(held.mean(), abs=2e-3)
    assert bank.text[:, 0].tolist() == [len(f"{name} Image") for name in MODALITIES]
    with pytest.raises(FormatError, match="two/9:0, value 1"):
        bank.read("two/9:0", 0, 1)
    bank.save(tmp_path / "features.npz")
    again = FeatureBank.load(tmp_path / "features.npz")
    assert np.array_equal(again.read(part.key, 0, 1), features)
    assert torch.equal(again.text, bank.text)


def test_files_that_hold_no_features(tmp_path: Path) -> None:
    path = tmp_path / "features.npz"
    with pytest.raises(FormatError, match="precomputed features"):
        FeatureBank.load(path)
    np.savez(path, keys=np.array(["a"]), image=np.zeros((2, CLIP_WIDTH)), text=np.zeros((11, CLIP_WIDTH)))
    with pytest.raises(FormatError, match="shapes"):
        FeatureBank.load(path)


def test_the_stand_in_is_always_the_same_and_tells_inputs_apart() -> None:
    crops = torch.rand(2, 3, CLIP_SIDE, CLIP_SIDE, generator=torch.Generator().manual_seed(0))
    first, again = StandInTower(), StandInTower()
    features = first.image_features(crops)
    assert torch.equal(features, again.image_features(crops))
    assert not torch.allclose(features[0], features[1])
    texts = first.text_features(["CT Image", "MR Image"])
    assert torch.equal(texts, again.text_features(["CT Image", "MR Image"]))
    assert not torch.allclose(texts[0], texts[1])
    assert describe("")["tower"] == "stand-in"


def test_a_folder_without_a_published_clip_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="CLIP in"):
        PublishedTower(tmp_path)
