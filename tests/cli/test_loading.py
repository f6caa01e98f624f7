"""nnInteractive from the command line: imported, asked, and its licence shown each time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.cli.loading import load_model, read_variant
from bedside.core.errors import InputError
from bedside.engines.window.policy import VOLUMES, WindowPolicy
from bedside.io import read_mask

TERMS = "CC BY-NC-SA 4.0"


@pytest.fixture
def imported(nninteractive_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's weights: nnInteractive's network, small, with random parameters and patches of 64 voxels a side."""
    pytest.importorskip("onnx")
    from bedside.engines.nninteractive.convert import convert_nninteractive

    folder = nninteractive_folder()
    plans = json.loads((folder / "plans.json").read_text())
    plans["configurations"]["3d_fullres_ps192_bs24"]["patch_size"] = [64] * 3
    (folder / "plans.json").write_text(json.dumps(plans))
    mine = tmp_path / "mine"
    monkeypatch.setenv("BEDSIDE_WEIGHTS", str(mine))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    convert_nninteractive(folder, mine, widths=(4, 8, 8, 12, 12, 16), depths=(1, 2, 1, 1, 1, 2))
    return mine


def test_a_volume_is_segmented_and_the_licence_is_shown(
    cli: Callable[..., Any], imported: Path, scan: Path, tmp_path: Path
) -> None:
    output = tmp_path / "mask.nii.gz"
    options = ["--model", "nninteractive", "--point", "8,7,6", "--negative-point", "1,1,1", "--device", "cpu", "--json"]
    status, out, err = cli("segment", scan, "-o", output, *options)
    assert status == 0, err
    assert TERMS in err.splitlines()[0]
    manifest = json.loads(out)
    assert manifest["model"]["name"] == "nninteractive"
    assert manifest["passes"] >= 1
    mask = read_mask(output).array
    assert mask.shape == (12, 16, 20)
    assert np.count_nonzero(mask) == manifest["objects"][0]["voxels"]
    # Said again with every load.
    assert TERMS in cli("segment", scan, "-o", output, *options).err


@pytest.mark.parametrize(
    ("box", "status", "message"),
    [("6,5,6,12,10,7", 0, TERMS), ("6,5,4,12,10,9", 2, "draw it on the object's middle slice, one voxel thick")],
)
def test_boxes_lie_on_one_slice(
    box: str, status: int, message: str, cli: Callable[..., Any], imported: Path, scan: Path, tmp_path: Path
) -> None:
    output = tmp_path / "mask.nii.gz"
    found = cli("segment", scan, "-o", output, "--model", "nninteractive", "--box", box)
    assert found.status == status
    assert message in found.err
    assert output.exists() == (status == 0)


def test_a_flat_image_is_rejected(cli: Callable[..., Any], imported: Path, picture: Path, tmp_path: Path) -> None:
    found = cli("segment", picture, "-o", tmp_path / "mask.png", "--model", "nninteractive", "--point", "5,5")
    assert found.status == 2
    assert "'nninteractive': expected a volume, got 2 axes; use bedside-2d" in found.err


def test_a_model_without_conditions_says_nothing(grower: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert load_model("bedside-2d", "cpu") is grower
    assert capsys.readouterr().err == ""


def test_a_variant_changes_how_windows_are_chosen() -> None:
    assert read_variant("bedside-3d") == ("bedside-3d", None, None)
    assert read_variant("bedside-3d:window=adaptive-crop") == ("bedside-3d", "adaptive-crop", None)
    changed = replace(VOLUMES, object_zoom=1.5, refine_limit=9)
    assert read_variant("bedside-3d: object_zoom = 1.5,refine_limit=9") == ("bedside-3d", None, changed)
    # Each model's own numbers are those that are changed.
    assert read_variant("bedside-2d:search_refine_limit=3")[2] == WindowPolicy(search_refine_limit=3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bedside-3d:", "expected NAME:SETTING=VALUE"),
        ("bedside-3d:object_zoom", "expected NAME:SETTING=VALUE,..., got 'object_zoom'"),
        ("bedside-3d:zoom=2", "expected one of object_zoom, .* got 'zoom'"),
        ("bedside-3d:object_zoom=1", "expected zooms and factors above 1"),
        ("bedside-3d:object_zoom=nan", "expected zooms and factors above 1"),
        ("bedside-3d:refine_scale=0", "expected lengths above 0"),
        ("bedside-3d:refine_limit=-1", "expected limits of 0 or more"),
        ("bedside-3d:refine_limit=1.5", "refine_limit: expected a whole number, got '1.5'"),
        ("bedside-3d:window=autozoom,refine_limit=1", "expected a model that looks at windows"),
        ("lite-medsam:refine_limit=1", "expected a model that looks at windows"),
        ("bedside-4d:refine_limit=1", "bedside-4d"),
    ],
)
def test_a_variant_that_cannot_be_is_rejected(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_variant(text)


def test_the_segmenter_is_the_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr("bedside.engines.load_segmenter", lambda name, **options: asked.update(options, name=name))
    load_model("bedside-3d:object_zoom=1.5", "cpu")
    assert asked == {"name": "bedside-3d", "device": "cpu", "policy": replace(VOLUMES, object_zoom=1.5)}
