"""Every recipe on real data, small enough for a CPU.

Reduced against the recipes: inputs of 32 pixels and not 256 or 512, two samples a step, a dozen slices, a few dozen
steps a stage, and a teacher with random weights, whose own input is 32 pixels wide. Learning rates are replaced: those
of the recipes (0.075 and 2e-6 at the ends) are made for thousands of steps and more. DAFT's experts take two steps;
its stages on all data stand for them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.core.image import Image
from bedside.core.prompts import Box
from bedside.data.prepare import prepare_store
from bedside.engines import load_segmenter
from bedside.train.run import run_training
from bedside.weights.store import PARTS, WeightsFiles

DATA = Path(__file__).parents[5] / "shared" / "data"
SETS = ("sa2_endo_edd2020", "sa_fundus_drishti", "sa2_micro_krdwbc")
STEPS = 24
LINE = re.compile(r"step (\d+)/(\d+)  loss (\S+)")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="needs the data sets beside the repository, in ../shared/data"),
]

REDUCED: dict[str, Any] = {
    "sampling.side": 32,
    "teacher.weights": "random",
    "teacher.side": 32,
    "steps": STEPS,
    "batch": 2,
    "accumulate": 1,
    "slices": 12,
    "learning_rate": 3e-4,
    "validate_every": 1000,
    "validation_samples": 2,
    "workers": 0,
    "log_every": 1,
    "precision": "fp32",
}
ONE_STAGE = ("medsam", "mcp-medsam")
RECIPES: dict[str, dict[str, Any]] = {
    "lite-medsam": {},
    "rep-medsam": {},
    "swin-lite-medsam": {},
    "mcp-medsam": {},
    "medsam": {"learning_rate": 1e-4},
    "medficientsam": {"sampling.masks": 2, "distil.learning_rate": 1e-3},
    "daft": {f"{stage}.steps": 2 for stage in ("fundus", "distil-from-scratch", "x-ray", "general-from-scratch")},
}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    prepare_store(DATA, folder, sets=SETS, report=lambda line: None)
    return folder


@pytest.mark.parametrize("name", list(RECIPES))
def test_a_recipe_learns_and_what_it_learnt_can_be_run(name: str, real: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    result = run_training(name, real, tmp_path, overrides=REDUCED | RECIPES[name], device="cpu", report=lines.append)
    for stage, losses in losses_of(lines).items():
        if len(losses) == STEPS:
            third = STEPS // 3
            assert np.mean(losses[-third:]) < np.mean(losses[:third]), (stage, losses)
    assert sum(len(losses) == STEPS for losses in losses_of(lines).values()) >= (1 if name in ONE_STAGE else 2)
    assert result.weights is not None
    model = "medficientsam-l1" if name == "medficientsam" else name
    files = WeightsFiles.in_folder(model, result.weights, PARTS[0])
    assert files.complete
    assert files.card.training["stages"].keys() == losses_of(lines).keys()
    assert "not the published weights" in files.card.source
    generator = np.random.default_rng(0)
    image = Image.from_array(generator.integers(0, 255, (90, 120), dtype=np.uint8), modality="Fundus")
    segmenter = load_segmenter(model, weights=files)
    segmenter.set_image(image)
    answer = segmenter.predict([Box((20, 20), (70, 60))])
    assert answer.logits.shape == (256, 256)
    assert np.isfinite(answer.logits).all()


def losses_of(lines: list[str]) -> dict[str, list[float]]:
    """The loss of every step, by stage."""
    found: dict[str, list[float]] = {}
    for line in lines:
        if line.startswith("stage "):
            current = found.setdefault(line.split()[1].rstrip(":"), [])
        elif match := LINE.match(line):
            current.append(float(match[3]))
    return found
