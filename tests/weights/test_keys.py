"""Every network's state dict is that of its published checkpoint, name for name and shape for shape.

``keys.json`` holds a fingerprint of every state dict, so that a clone without the full lists fails, too, where a name
or a shape changes. Write it again, after a look at what changed, with ``python tests/models/test_checkpoint_keys.py``.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from bedside.weights.keys import key_lines, skeleton
from bedside.weights.models import build_model, model_cards

FINGERPRINTS = Path(__file__).with_name("keys.json")
LISTS = Path(__file__).parents[3] / "shared" / "specs" / "checkpoint-keys"
NAMES = [card.name for card in model_cards()]
STANDARD = "keys_litemedsam.txt"
LIST_OF = {
    "lite-medsam": STANDARD,
    "medsam": "keys_medsam.txt",
    "medficientsam-l0": "keys_efficientvitsam_l0.txt",
    "medficientsam-l1": "keys_efficientvitsam_l1.txt",
    "medficientsam-l2": "keys_efficientvitsam_l2.txt",
    "daft": "keys_efficientvitsam_l0.txt",
    "swin-lite-medsam": "keys_swinlite.txt",
    "mcp-medsam": "keys_mcp.txt",
}
PARTS = {
    "lite-medsam": (5_726_740, 6_220, 4_058_340),
    "medsam": (89_670_912, 6_220, 4_058_340),
    "medficientsam-l0": (30_728_224, 6_220, 4_058_340),
    "medficientsam-l1": (43_585_568, 6_220, 4_058_340),
    "medficientsam-l2": (57_264_032, 6_220, 4_058_340),
    "daft": (30_728_224, 6_220, 4_058_340),
    "rep-medsam": (6_505_532, 6_220, 4_058_340),
    "swin-lite-medsam": (10_564_748, 6_220, 26_196_878),
    "mcp-medsam": (5_726_740, 5_980_416, 7_878_895),
}
"""Parameters of image encoder, prompt encoder and mask decoder, as they are known of the published networks."""


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def fingerprint(network: nn.Module) -> dict[str, Any]:
    lines = sorted(key_lines(network))
    return {
        "keys": len(lines),
        "parameters": parameters(network),
        "sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest(),
    }


def published(file: str) -> list[str]:
    path = LISTS / file
    if not path.is_file():
        pytest.skip(f"the list of published keys is not here: {path}")
    return path.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", NAMES)
def test_the_state_dict_has_its_fingerprint(name: str) -> None:
    assert fingerprint(skeleton(name)) == json.loads(FINGERPRINTS.read_text(encoding="utf-8"))[name]


@pytest.mark.parametrize("card", model_cards(), ids=NAMES)
def test_the_card_counts_the_parameters(card: Any) -> None:
    assert parameters(skeleton(card.name)) == card.parameters


@pytest.mark.parametrize("name", PARTS)
def test_each_part_has_its_parameters(name: str) -> None:
    network: Any = skeleton(name)
    parts = (network.image_encoder, network.prompt_encoder, network.mask_decoder)
    assert tuple(parameters(part) for part in parts) == PARTS[name]


def test_every_network_that_encodes_images_once_is_checked() -> None:
    assert {card.name for card in model_cards() if card.family == "sam"} == PARTS.keys()
    assert PARTS.keys() == LIST_OF.keys() | {"rep-medsam"}


@pytest.mark.parametrize("name", LIST_OF)
def test_the_state_dict_is_the_published_one(name: str) -> None:
    assert sorted(key_lines(skeleton(name))) == sorted(published(LIST_OF[name]))


def test_the_state_dict_of_rep_medsam_is_the_published_one() -> None:
    encoder = [f"image_encoder.{line}" for line in published("keys_repmedsam_encoder.txt")]
    rest = [line for line in published(STANDARD) if not line.startswith("image_encoder.")]
    assert sorted(key_lines(skeleton("rep-medsam"))) == sorted(encoder + rest)


def fused_encoder() -> nn.Module:
    # On the meta device, fusing computes shapes only.
    network: Any = skeleton("rep-medsam")
    network.fuse()
    encoder: nn.Module = network.image_encoder
    return encoder


def test_the_fused_encoder_of_rep_medsam_is_the_published_one() -> None:
    encoder = fused_encoder()
    assert parameters(encoder) == 6_463_840
    assert fingerprint(encoder) == json.loads(FINGERPRINTS.read_text(encoding="utf-8"))["rep-medsam fused encoder"]
    assert sorted(key_lines(encoder)) == sorted(published("keys_repmedsam_encoder_fused.txt"))


def test_the_skeleton_is_the_network_that_is_built() -> None:
    assert key_lines(skeleton("lite-medsam")) == key_lines(build_model("lite-medsam"))


if __name__ == "__main__":
    found = {name: fingerprint(skeleton(name)) for name in NAMES}
    found["rep-medsam fused encoder"] = fingerprint(fused_encoder())
    FINGERPRINTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
