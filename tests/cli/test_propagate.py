"""``bedside segment --propagate``: a mask on one slice becomes one on all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bedside.io import read_image, read_mask, write_mask


def test_a_drawn_slice_becomes_a_volume(cli: Callable[..., Any], grower: Any, scan: Path, tmp_path: Path) -> None:
    image = read_image(scan)
    truth = (image.array > 100).astype(np.uint8)
    drawn = np.zeros_like(truth)
    drawn[6] = truth[6]
    mask, out = tmp_path / "slice.nii.gz", tmp_path / "out.nii.gz"
    write_mask(mask, drawn, image.geometry)
    status, _, err = cli("segment", scan, "--initial-mask", mask, "--propagate", "-o", out)
    assert status == 0
    assert "object 1: from slice 6 to 4-8 (below: empty, above: empty)" in err
    np.testing.assert_array_equal(read_mask(out).array, truth)


def test_a_picture_has_no_slices(cli: Callable[..., Any], grower: Any, picture: Path, tmp_path: Path) -> None:
    status, _, err = cli("segment", picture, "--point", "15,10", "--propagate", "-o", tmp_path / "out.png")
    assert (status, "expected a volume or a film" in err) == (2, True)
    assert not (tmp_path / "out.png").exists()


def test_a_mark_on_another_slice_would_have_no_effect_and_is_named(
    cli: Callable[..., Any], grower: Any, scan: Path, tmp_path: Path
) -> None:
    image = read_image(scan)
    drawn = np.zeros_like(image.array, dtype=np.uint8)
    drawn[6] = image.array[6] > 100
    mask, out = tmp_path / "slice.nii.gz", tmp_path / "out.nii.gz"
    write_mask(mask, drawn, image.geometry)
    y, x = np.argwhere(drawn[6])[0]
    status, _, err = cli(
        "segment", scan, "--initial-mask", mask, "--negative-point", f"{x},{y},4", "--propagate", "-o", out
    )
    assert (status, "point on slice 4: expected all marks on slice 6" in err) == (2, True)
    assert not out.exists()
