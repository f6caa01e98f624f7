from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import bedside.engines.sam.training.networks
import bedside.engines.sam.training.run
from bedside.data.prepare import object_table
from bedside.data.store import Item, ItemInfo, Store, write_store
from bedside.engines.sam.blocks.sam import PromptableNetwork
from bedside.engines.sam.blocks.sam_mask_decoder import MaskDecoder
from bedside.engines.sam.blocks.sam_prompt_encoder import PromptEncoder
from bedside.engines.sam.training.recipe import SamRecipe
from bedside.weights.models import build_model

WIDTH = 32
"""Features of the light network's tokens."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order, and no quarrel over the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def disc_item(set_name: str, number: int, modality: str) -> Item:
    """A bright disc on a dark, noisy ground."""
    generator = np.random.default_rng((number, *set_name.encode()))
    rows, columns = np.indices((48, 60))
    mask = (rows - 20 - number) ** 2 + (columns - 26 - 2 * number) ** 2 <= (9 + number) ** 2
    image = (generator.normal(60, 15, mask.shape) + 90 * mask).clip(0, 255).astype(np.uint8)
    maps = mask[None].astype(np.uint16)
    info = ItemInfo(f"{set_name}/{number}", set_name, "image", modality, None, ("label",))
    return Item(info, image, maps, object_table(maps))


@pytest.fixture(scope="session")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed store of three sets of three modalities; "held" is there to hold out."""
    folder = tmp_path_factory.mktemp("discs")
    sets = {"one": "CT (slice)", "two": "ultrasound", "held": "MR T1"}
    write_store(folder, [disc_item(name, n, modality) for name, modality in sets.items() for n in range(3)])
    return folder


@pytest.fixture(scope="session")
def store(discs: Path) -> Store:
    return Store(discs)


@pytest.fixture
def tiny() -> SamRecipe:
    """Two stages of three steps; a teacher of the same kind with random weights; an eighth of the usual size."""
    return SamRecipe.from_dict(
        {
            "model": "lite-medsam",
            "plan": "lite-medsam",
            "seed": 5,
            "precision": "fp32",
            "teacher": {"model": "lite-medsam", "weights": "random", "side": 32, "framing": "pad", "kernel": "area"},
            "held_out": ["held"],
            "workers": 0,
            "log_every": 1,
            "validate_every": 3,
            "validation_samples": 2,
            "every_stage": {
                "steps": 3,
                "batch": 2,
                "learning_rate": 1e-3,
                "sampling": {"side": 32, "flips": 0.5, "enlargement": 1},
            },
            "stages": {"distil": {"kind": "distil"}, "fine-tune": {"kind": "fine-tune", "schedule": "plateau"}},
        }
    )


class LightEncoder(nn.Module):
    """One patch for each cell of the embedding, and a normalisation with running statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.neck = nn.Sequential(nn.Conv2d(3, WIDTH, 4, stride=4), nn.BatchNorm2d(WIDTH))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        embedding: torch.Tensor = self.neck(image)
        return embedding


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of the systems' networks: the same prompt encoder and decoder, narrower, and a much lighter encoder."""

    def build(name: str) -> nn.Module:
        real = build_model(name) if name == "bedside-2d" else None
        return real or PromptableNetwork(LightEncoder(), PromptEncoder(256, width=WIDTH), MaskDecoder(WIDTH))

    monkeypatch.setattr(bedside.engines.sam.training.networks, "build_model", build)


@pytest.fixture
def no_export(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """In place of the export, which traces the network at its full size."""
    calls: list[dict[str, Any]] = []

    def record(model: str, state: Any, folder: Path, stem: str, manifest: Any, content: Any = None) -> None:
        calls.append({"model": model, "state": state, "stem": stem, "manifest": manifest, "content": content})

    monkeypatch.setattr(bedside.engines.sam.training.run, "export_system", record)
    return calls
