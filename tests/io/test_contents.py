from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image as Picture

from bedside.io.contents import contents


def test_a_folder_of_plain_images_is_listed_by_name(tmp_path: Path) -> None:
    Picture.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "deeper").mkdir()
    nib.save(nib.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.eye(4)), tmp_path / "deeper" / "b.nii.gz")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_bytes(b"")
    assert [item.path for item in contents(tmp_path)] == ["a.png", str(Path("deeper") / "b.nii.gz")]
