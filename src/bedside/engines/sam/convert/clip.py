"""The folder of a published CLIP: its tensors, and the numbers of its words. Needs torch.

The folder holds ``pytorch_model.bin`` or ``model.safetensors``, and ``vocab.json`` with ``merges.txt``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bedside.core.errors import WeightsError
from bedside.engines.sam.blocks.clip import Clip
from bedside.weights.foreign import read_checkpoint

MODEL_FILES = ("model.safetensors", "pytorch_model.bin")
BEGIN, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"
LISTED = 3
_WORDS = re.compile(r"[a-z]+|[0-9]|[^\sa-z0-9]+")


def read_clip(folder: Path, network: Clip | None = None) -> Clip:
    """Return the network of a published folder, in evaluation mode.

    Args:
        folder: The folder.
        network: The network that it is for; by default the usual one.

    Raises:
        WeightsError: A file is missing or damaged, or its tensors are of another network.
    """
    path = next((folder / name for name in MODEL_FILES if (folder / name).is_file()), None)
    if path is None:
        raise WeightsError(f"CLIP in {folder}", expected=" or ".join(MODEL_FILES), got="neither")
    if network is None:
        with torch.device("meta"):
            network = Clip()
    expected = network.state_dict()
    held = _tensors(path)
    # Counters and the temperature of the training are no part of the network.
    tensors = {k: v for k, v in held.items() if not k.endswith(("position_ids", "logit_scale"))}
    wrong = sorted(expected.keys() ^ tensors.keys()) or [
        k for k, v in tensors.items() if v.shape != expected[k].shape or not bool(torch.isfinite(v).all())
    ]
    if wrong:
        raise WeightsError(
            f"{path.name} is no CLIP of the usual kind", expected=f"its {len(expected)} tensors",
            got=f"a difference in {', '.join(wrong[:LISTED])}",
        )  # fmt: skip
    network.load_state_dict({k: v.float().contiguous() for k, v in tensors.items()}, assign=True)
    frozen: nn.Module = network.eval().requires_grad_(False)
    assert isinstance(frozen, Clip)
    return frozen


def _tensors(path: Path) -> dict[str, Tensor]:
    content: Any
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            content = load_file(path)
        except (OSError, SafetensorError) as error:
            raise WeightsError(path.name, expected="a safetensors file", got=str(error)[:160]) from error
    else:
        content = read_checkpoint(path)
    return {key: value for key, value in content.items() if isinstance(value, Tensor)}


class Tokens:
    """The numbers of the parts of words, as CLIP splits them: pairs are joined in the order of a list.

    Args:
        numbers: Numbers of every part.
        merges: Pairs of parts, the first to be joined first.
    """

    def __init__(self, numbers: Mapping[str, int], merges: Sequence[tuple[str, str]]) -> None:
        self._numbers = numbers
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}

    @classmethod
    def in_folder(cls, folder: Path) -> Tokens:
        """Return those of a published folder.

        Raises:
            WeightsError: A file is missing or damaged.
        """
        try:
            numbers = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
            lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
            if not isinstance(numbers, dict) or not all(isinstance(numbers[word], int) for word in (BEGIN, END)):
                raise KeyError("numbers of the begin and the end of a text")
        except (OSError, ValueError, KeyError, RecursionError) as error:
            got = f"{type(error).__name__}: {error}"
            raise WeightsError(f"CLIP in {folder}", expected="vocab.json and merges.txt", got=got) from error
        pairs = [line.split() for line in lines if not line.startswith("#version")]
        return cls(numbers, [(pair[0], pair[1]) for pair in pairs if len(pair) == 2])

    def __call__(self, text: str) -> list[int]:
        """Return numbers of a text of ASCII letters, digits and signs, begin and end included.

        Raises:
            WeightsError: A part has no number.
        """
        parts = [part for word in _WORDS.findall(text.lower()) for part in self._split(word)]
        unknown = [part for part in parts if part not in self._numbers]
        if unknown:
            raise WeightsError(
                f"CLIP's words for '{text}'", expected="a number for each part", got=f"none: {unknown[0]}"
            )
        return [self._numbers[BEGIN], *(self._numbers[part] for part in parts), self._numbers[END]]

    def _split(self, word: str) -> list[str]:
        parts = [*word[:-1], word[-1] + WORD_END]
        while len(parts) > 1:
            pairs = list(pairwise(parts))
            best = min(pairs, key=lambda pair: self._ranks.get(pair, len(self._ranks)))
            if best not in self._ranks:
                break
            joined: list[str] = []
            for part in parts:
                if joined and (joined[-1], part) == best:
                    joined[-1] += part
                else:
                    joined.append(part)
            parts = joined
        return parts
