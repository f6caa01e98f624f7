"""Small datasets on disk and segmenters whose answers are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from bedside.core.region import Region
from bedside.engines.protocol import Capabilities
from bedside.evaluate.baselines.window import make_prediction


def ellipse(shape, centre, radii):
    axes = np.ix_(*(np.arange(n) for n in shape))
    return sum(((a - c) / r) ** 2 for a, c, r in zip(axes, centre, radii, strict=True)) <= 1


def write_image_set(folder: Path, name: str, cases: int = 3) -> Path:
    """Each case: a bright ellipse (label 1), a darker one (2) and one that is too small (3)."""
    folder = folder / "val" / "2d" / name
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for n in range(cases):
        labels = np.zeros((60, 80), np.uint8)
        labels[ellipse(labels.shape, (25, 25 + 2 * n), (12, 16))] = 1
        labels[ellipse(labels.shape, (45, 62), (9, 9))] = 2
        labels[2:4, 2:4] = 3
        image = np.choose(labels, [60, 200, 140, 250]) + generator.normal(0, 5, labels.shape)
        Picture.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / f"case{n}.image.png")
        Picture.fromarray(labels).save(folder / f"case{n}.labels.png")
    card = {
        "name": name, "split": "val", "dim": "2d", "modality": "test <pattern>", "label_kind": "semantic",
        "structures": {"1": "a", "2": "b", "3": "c"}, "licence": "CC0",
    }  # fmt: skip
    (folder / "set.json").write_text(json.dumps(card))
    return folder


def write_volume_set(folder: Path, name: str) -> Path:
    """One case of two instances, 3 mm apart in x and 1 mm in y and z."""
    import nibabel

    folder = folder / "val" / "3d" / name
    folder.mkdir(parents=True)
    labels = np.zeros((20, 24, 16), np.uint8)
    labels[ellipse(labels.shape, (8, 8, 5), (5, 6, 3))] = 1
    labels[ellipse(labels.shape, (13, 16, 11), (4, 5, 3))] = 2
    image = np.where(labels > 0, 300, 50).astype(np.int16)
    affine = np.diag([3.0, 1.0, 1.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(image.T, affine), folder / "v.image.nii.gz")
    nibabel.save(nibabel.Nifti1Image(labels.T, affine), folder / "v.labels.nii.gz")
    card = {
        "name": name, "split": "val", "dim": "3d", "modality": "MR", "label_kind": "instance",
        "structures": {"*": "instance"}, "licence": "CC0",
    }  # fmt: skip
    (folder / "set.json").write_text(json.dumps(card))
    return folder


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    write_image_set(folder, "images")
    write_volume_set(folder, "volumes")
    return folder


class DiscSegmenter:
    """Fills the first box's inner part and learns a disc from every click; notes what it was asked."""

    name = "disc"

    def __init__(self, dimensions=(2, 3), starts=("box", "point", "scribble")):
        self.capabilities = Capabilities(
            dimensions, frozenset({"box", "point", "scribble"}), frozenset({"point"}), False, frozenset(starts)
        )
        self.images = 0
        self.calls = []

    def set_image(self, image):
        self.images += 1
        self.image = image

    def predict(self, prompts, previous=None, fresh=1):
        self.calls.append((list(prompts), None if previous is None else previous.copy()))
        shape = self.image.shape
        mask = np.zeros(shape, np.uint8)
        for prompt in prompts:
            if prompt.kind == "box":
                low, high = (np.array(c[::-1]) for c in (prompt.low, prompt.high))
                mask[ellipse(shape, (low + high - 1) / 2, (high - low) / 2 * 0.6)] = 1
            elif prompt.kind == "point":
                mask[ellipse(shape, prompt.position[::-1], (5,) * len(shape))] = prompt.positive
            else:
                mask[ellipse(shape, np.mean(prompt.points, axis=0)[::-1], (5,) * len(shape))] = 1
        region = Region.whole(shape)
        return make_prediction(mask, region, mask.astype(np.float32), previous, {})
