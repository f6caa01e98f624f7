"""The teacher: its weights, and its embeddings of every slice, computed once and kept in files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bedside.core.errors import InputError
from bedside.core.files import atomic_path, write_text_atomically
from bedside.engines.sam.training.augmentation import apply_flip
from bedside.engines.sam.training.networks import SamNetwork, load_served, seeded_network
from bedside.engines.sam.training.recipe import RANDOM, TeacherSettings
from bedside.engines.sam.training.sampling import SamSampler, fit_slice
from bedside.engines.sam.training.slices import SliceTable
from bedside.train.initial import read_tensors
from bedside.weights.card import file_sha256
from bedside.weights.models import model_card
from bedside.weights.packed import unpack
from bedside.weights.store import installed_weights

RECORD = "embeddings.json"
"""File beside the embeddings that says what they are of; it is written first, and others than these are not used."""
ALL_FLIPS, NO_FLIPS = (0, 1, 2, 3), (0,)
REPORT_EVERY = 100
MANY = 8
"""Samples per view above which hardly a view is left out."""
View = tuple[int, int]
"""Number of a slice in its table, and how it is mirrored."""


@dataclass(frozen=True, eq=False)
class Teacher:
    """A network whose embeddings are learnt.

    Attributes:
        network: In evaluation mode.
        settings: How it sees slices.
        record: What it is, for manifests: model, and the sha256 of its weights or that they are random.
    """

    network: SamNetwork
    settings: TeacherSettings
    record: dict[str, Any]

    @torch.no_grad()
    def embed(self, image: NDArray[np.float32], grid: int) -> NDArray[np.float16]:
        """Return the embedding (256, grid, grid) of an image (3, side, side), resized where the teacher's grid is
        another.
        """
        device = next(self.network.parameters()).device
        embedding: Tensor = self.network.encode_image(torch.from_numpy(image)[None].to(device))[0].float()
        if embedding.shape[-1] != grid:
            embedding = F.interpolate(embedding, (grid, grid), mode="bilinear", align_corners=False)
        half: NDArray[np.float16] = embedding[0].cpu().numpy().astype(np.float16)
        return half


def open_teacher(settings: TeacherSettings, seed: int, device: torch.device, report: Callable[[str], None]) -> Teacher:
    """Return the teacher with its weights.

    Args:
        settings: Which, and how it sees slices.
        seed: Seed of random weights.
        device: Where it is to run.
        report: Told where the weights are random.

    Raises:
        InputError: Its weights are not there, or its input has another size than they were made for.
        WeightsError: The weights are damaged, or those of another network.
    """
    record: dict[str, Any] = {"model": settings.model}
    network = seeded_network(settings.model, settings.side, seed)
    if settings.weights == RANDOM:
        report(f"the teacher {settings.model} has RANDOM weights: what is learnt from it shows only that a run works")
        record |= {"weights": "random", "seed": seed}
    else:
        if settings.side != model_card(settings.model).grid:
            expected = f"{model_card(settings.model).grid} for weights that were trained"
            raise InputError("teacher.side", expected=expected, got=settings.side)
        path = _teacher_file(settings)
        load_served(network, unpack(read_tensors(path)), f"weights of the teacher {path}")
        record |= {"weights": path.name, "sha256": file_sha256(path)}
    return Teacher(network.to(device).eval().requires_grad_(False), settings, record)


def _teacher_file(settings: TeacherSettings) -> Path:
    name = settings.model
    if not settings.weights:
        files = installed_weights(name)
        if files is None:
            raise InputError(
                f"weights of the teacher '{name}'",
                expected=f"imported ones (bedside weights import {name} FILE)",
                got="none",
                fix="name a file by --set teacher.weights=FILE, or only try a run by --set teacher.weights=random",
            )
        return files.tensors
    path = Path(settings.weights)
    if not path.is_file():
        raise InputError("teacher.weights", expected="a safetensors file, or random", got=f"'{settings.weights}'")
    return path


class EmbeddingBank:
    """Embeddings of the slices of a table, one file for each way in which a slice is seen.

    Args:
        folder: Where the files are.
        table: The slices.
        grid: Side of the embeddings.
    """

    def __init__(self, folder: Path, table: SliceTable, grid: int) -> None:
        self._folder = folder
        self._table = table
        self._grid = grid

    def prepare(
        self, teacher: Teacher, store_sha256: str, views: Iterable[View], report: Callable[[str], None]
    ) -> None:
        """Compute what is missing of ``views``; all of it where the files are of another teacher, store or form."""
        record = {
            "teacher": teacher.record,
            "side": teacher.settings.side,
            "framing": teacher.settings.framing,
            "kernel": teacher.settings.kernel,
            "grid": self._grid,
            "store": store_sha256,
            "slices": [part.key for part in self._table.slices],
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        if _read(self._folder / RECORD) != record:
            for old in self._folder.glob("*.npy"):
                old.unlink()
            write_text_atomically(self._folder / RECORD, json.dumps(record) + "\n")
        missing = [view for view in sorted(set(views)) if not self._path(view).is_file()]
        if missing:
            report(f"computing {len(missing)} embeddings of the teacher")
        for count, view in enumerate(missing, start=1):
            with atomic_path(self._path(view)) as path, path.open("wb") as file:
                np.save(file, self._embed(teacher, view))
            if count % REPORT_EVERY == 0:
                report(f"{count} of {len(missing)} embeddings")

    def read(self, number: int, flip: int) -> NDArray[np.float32]:
        """Return the embedding (256, grid, grid) of slice ``number`` of the table, mirrored by ``flip``."""
        return np.asarray(np.load(self._path((number, flip))), dtype=np.float32)

    def _embed(self, teacher: Teacher, view: View) -> NDArray[np.float16]:
        settings, (number, flip) = teacher.settings, view
        image = fit_slice(self._table.slices[number], settings.side, settings.framing, settings.kernel)
        return teacher.embed(np.ascontiguousarray(apply_flip(image, flip)), self._grid)

    def _path(self, view: View) -> Path:
        return self._folder / f"{view[0]:07d}-{view[1]}.npy"


def views_of(sampler: SamSampler, samples: int) -> set[View]:
    """Return what the first ``samples`` pictures of a sampler show; every view there is where they are many times
    more.
    """
    flips = ALL_FLIPS if sampler.config.flips else NO_FLIPS
    every = len(sampler.table) * len(flips)
    if samples > MANY * every:
        return {(number, flip) for number in range(len(sampler.table)) for flip in flips}
    return {sampler.choice(index) for index in range(samples)}


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
