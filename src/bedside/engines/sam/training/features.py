"""What a frozen CLIP says of crops and modalities, computed once and kept in a file, for MCP-MedSAM."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bedside.core.errors import FormatError
from bedside.core.files import atomic_path
from bedside.core.modality import MODALITIES
from bedside.engines.sam.content import content_crop, crop_input
from bedside.engines.sam.convert.clip import MODEL_FILES, Tokens, read_clip
from bedside.engines.sam.networks.mcp_medsam import CLIP_SIDE, CLIP_WIDTH, FeatureTower
from bedside.engines.sam.training.slices import SliceTable
from bedside.weights.card import file_sha256

BATCH = 64
POOLED = 16
"""Side of the squares whose means the stand-in sees."""


class StandInTower(nn.Module):
    """In place of a CLIP where there is none: a fixed random projection of a coarse picture. It knows nothing."""

    projection: Tensor

    def __init__(self) -> None:
        super().__init__()
        cells = 3 * (CLIP_SIDE // POOLED) ** 2
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("projection", torch.randn(cells, CLIP_WIDTH, generator=generator) / cells**0.5)

    def forward(self, crops: Tensor) -> Tensor:
        """Map crops (n, 3, CLIP_SIDE, CLIP_SIDE), 0 to 1, to (n, CLIP_WIDTH)."""
        return F.avg_pool2d(crops - 0.5, POOLED).flatten(1) @ self.projection

    def image_features(self, crops: Tensor) -> Tensor:
        """See ``FeatureTower``."""
        with torch.no_grad():
            features: Tensor = self(crops)
        return features

    def text_features(self, texts: Sequence[str]) -> Tensor:
        """Return numbers that differ from text to text and say nothing of it."""
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1 for text in texts]
        return torch.stack([torch.randn(CLIP_WIDTH, generator=torch.Generator().manual_seed(s)) for s in seeds])


class PublishedTower:
    """A CLIP from its published folder; see ``engines.sam.convert.clip``.

    Args:
        folder: That of PubMedCLIP.

    Raises:
        WeightsError: It is not what it should be.
    """

    def __init__(self, folder: Path) -> None:
        self.clip = read_clip(folder)
        self._tokens = Tokens.in_folder(folder)

    @torch.no_grad()
    def image_features(self, crops: Tensor) -> Tensor:
        """See ``FeatureTower``."""
        return self.clip.plain_features(crops)

    @torch.no_grad()
    def text_features(self, texts: Sequence[str]) -> Tensor:
        """See ``FeatureTower``."""
        return self.clip.token_features([self._tokens(text) for text in texts])


class FeatureBank:
    """Features of the objects on slices, and of the names of the modalities.

    Args:
        rows: Row of ``image`` of each object.
        image: float16 (objects, CLIP_WIDTH), of the object's tight box.
        text: (11, CLIP_WIDTH), in the order of ``MODALITIES``.
    """

    def __init__(self, rows: dict[str, int], image: NDArray[np.float16], text: Tensor) -> None:
        self._rows = rows
        self._image = image
        self.text = text

    def read(self, slice_key: str, number: int, value: int) -> NDArray[np.float32]:
        """Return features (CLIP_WIDTH,) of an object on a slice.

        Raises:
            FormatError: The bank was made for other data.
        """
        row = self._rows.get(_key(slice_key, number, value))
        if row is None:
            raise FormatError("features of a frozen CLIP", expected=f"{slice_key}, value {value}", got="none")
        features: NDArray[np.float32] = self._image[row].astype(np.float32)
        return features

    def save(self, path: Path) -> None:
        """Write the bank as .npz."""
        keys = np.array(list(self._rows))
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, keys=keys, image=self._image, text=self.text.numpy())

    @classmethod
    def load(cls, path: Path) -> FeatureBank:
        """Read a bank.

        Raises:
            FormatError: The file is missing or none of ours.
        """
        try:
            with np.load(path, allow_pickle=False) as members:
                keys, image, text = (members[name] for name in ("keys", "image", "text"))
            if image.shape != (len(keys), CLIP_WIDTH) or text.shape != (len(MODALITIES), CLIP_WIDTH):
                raise ValueError(f"shapes {image.shape} and {text.shape}")
        except (OSError, KeyError, ValueError) as error:
            got = f"{type(error).__name__}: {error}"
            raise FormatError(f"features {path}", expected="a file of precomputed features", got=got) from error
        rows = {str(key): row for row, key in enumerate(keys)}
        return cls(rows, image.astype(np.float16), torch.from_numpy(text.astype(np.float32)))


def compute_features(
    tower: FeatureTower, tables: Iterable[SliceTable], report: Callable[[str], None] = print
) -> FeatureBank:
    """Return the features of every object on every slice of some tables, and of the modalities.

    Args:
        tower: The frozen CLIP, or a stand-in.
        tables: The slices.
        report: Told how many there are.
    """
    keys: dict[str, int] = {}
    crops: list[NDArray[np.float32]] = []
    found: list[NDArray[np.float16]] = []

    def flush() -> None:
        if crops:
            features = tower.image_features(torch.from_numpy(np.concatenate(crops)))
            found.append(features.detach().numpy().astype(np.float16))
            crops.clear()

    for table in tables:
        for part in table.slices:
            colours: NDArray[np.uint8] | None = None
            for number, value in part.objects():
                mask = part.mask(number, value)
                if not mask.any() or _key(part.key, number, value) in keys:
                    continue
                colours = part.colours() if colours is None else colours
                keys[_key(part.key, number, value)] = len(keys)
                crops.append(crop_input(content_crop(colours, _tight(mask)), CLIP_SIDE))
                if len(crops) == BATCH:
                    flush()
    flush()
    report(f"features of what {len(keys)} boxes hold are computed")
    text = tower.text_features([f"{name} Image" for name in MODALITIES])
    return FeatureBank(keys, np.concatenate(found), text.detach().float())


def _key(slice_key: str, number: int, value: int) -> str:
    return f"{slice_key}/{number}/{value}"


def _tight(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def describe(clip: str) -> dict[str, Any]:
    """Return what the features are, for manifests.

    Args:
        clip: Folder of the published CLIP, "" for the stand-in.
    """
    if not clip:
        return {"tower": "stand-in", "note": "a random projection in place of a frozen CLIP"}
    path = next(path for name in MODEL_FILES if (path := Path(clip) / name).is_file())
    return {"tower": "published", "file": path.name, "sha256": file_sha256(path)}
