"""Every network, held against the outputs of the team's own for weights that follow from the names of the tensors."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from bedside.engines.sam.networks.mcp_medsam import Content
from bedside.weights.models import build_model
from tests.support.golden_networks import KEPT, POINTS, SAMPLES, checksum, content, image, sampled, scribble, weight

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quiet_torch")]

GOLDEN = Path(__file__).parents[1] / "golden" / "networks"
SYSTEMS = sorted(path.stem for path in GOLDEN.glob("*.npz"))
TOLERANCE = {"embedding": 2e-5, "logits": 1e-5}
FUSED = {"embedding": 5e-5, "logits": 3e-5}
OTHERWISE = 3e-5
"""Of the stored deviation, for what the folder's page names no tolerance."""


def state_of(network: Any) -> dict[str, Tensor]:
    """The network's entries by the rules of the golden folder, checked against the public names and the checksum."""
    made: dict[str, NDArray[np.float32]] = {}
    for name, value in network.state_dict().items():
        drawn = weight(name, tuple(value.shape), value.is_floating_point())
        if drawn is not None:
            made[name] = drawn
    return {name: torch.from_numpy(value) for name, value in made.items()}


def loaded(system: str) -> Any:
    network: Any = build_model(system)
    public = json.loads(gzip.decompress((GOLDEN / "names.json.gz").read_bytes()))[system]
    state = network.state_dict()
    kept = {name for name, _, is_kept in public if is_kept}
    assert {name: list(value.shape) for name, value in state.items()} == {name: shape for name, shape, _ in public}
    made = state_of(network)
    assert state.keys() - made.keys() == kept
    assert all(name.endswith((*KEPT, "num_batches_tracked")) for name in kept)
    with np.load(GOLDEN / f"{system}.npz") as stored:
        assert checksum({name: value.numpy() for name, value in made.items()}) == str(stored["weights_sha256"])
    network.load_state_dict(made, strict=False)
    return network.eval()


def prompts(system: str, box: Tensor) -> dict[str, Any]:
    if system == "swin-lite-medsam":
        return {
            "boxes": box,
            "points": torch.from_numpy(POINTS),
            "labels": torch.ones(1, 4),
            "masks": torch.from_numpy(scribble()),
        }
    if system == "mcp-medsam":
        return {"boxes": box, "content": Content(**{k: torch.from_numpy(v) for k, v in content().items()})}
    return {"boxes": box}


def answered(system: str, network: Any) -> dict[str, NDArray[np.float32]]:
    with np.load(GOLDEN / f"{system}.npz") as stored:
        box = torch.from_numpy(stored["box"].astype(np.float32).reshape(1, 4))
    features = network.encode_image(torch.from_numpy(image(network.image_size)))
    masks = network.decode(features, **prompts(system, box))
    found = {"embedding": features[0], "logits": masks.logits, "iou": masks.iou}
    found |= {f"map{number}": feature for number, feature in enumerate(features[1:])}
    if system == "mcp-medsam":
        found |= {name: getattr(masks, name) for name in ("modality_logits", "content_token", "content_map")}
    return {name: value.numpy() for name, value in found.items()}


def differences(system: str, tensors: Mapping[str, NDArray[np.float32]]) -> dict[str, float]:
    """Greatest difference at the samples of every tensor, in parts of the public tensor's deviation."""
    found = {}
    with np.load(GOLDEN / f"{system}.npz") as stored:
        names = json.loads(str(stored["tensors"]))
        assert set(names) == tensors.keys()
        for name in names:
            value = tensors[name]
            assert value.shape == tuple(stored[f"{name}.shape"])
            flat = value.ravel() if value.size <= SAMPLES else value.ravel()[sampled(value.size)]
            scale = float(stored[f"{name}.std"]) if value.size > 1 else 1.0
            found[name] = float(np.abs(flat - stored[f"{name}.values"]).max()) / scale
    return found


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_network_answers_as_the_public_one(system: str) -> None:
    found = differences(system, answered(system, loaded(system)))
    print(system, found)
    assert {name: value for name, value in found.items() if value > TOLERANCE.get(name, OTHERWISE)} == {}


def test_a_fused_network_answers_as_the_public_one_unfused() -> None:
    network = loaded("rep-medsam")
    network.fuse()
    found = differences("rep-medsam", answered("rep-medsam", network))
    print("rep-medsam fused", found)
    assert {name: value for name, value in found.items() if value > FUSED.get(name, OTHERWISE)} == {}
