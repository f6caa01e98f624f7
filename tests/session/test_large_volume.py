"""A volume of many voxels is opened as it lies in its file and never copied whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

SHAPE = (1024, 1024, 256)
"""Along x, y, z; uint16, half a gigabyte."""
BYTES = 2 * SHAPE[0] * SHAPE[1] * SHAPE[2]
SLACK = 450 * 2**20
"""For interpreter, libraries, network and the mask's touched pages; a copy as float32 would take 1024 MB more."""

PROGRAM = """
import sys
import bedside
session = bedside.Session(bedside.read_image(sys.argv[1]))
assert session.image.array.dtype == "uint16"
session.add_box((500, 500, 100), (530, 530, 110))
session.add_point((515, 515, 105))
session.undo()
# Not getrusage, whose maximum begins with that of the process that started this one.
status = open("/proc/self/status").read()
print(int(status.split("VmHWM:")[1].split()[0]) * 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_prompts_on_half_a_gigabyte_take_little_more_than_the_file(tmp_path: Path) -> None:
    path = tmp_path / "large.nii"
    header = nibabel.Nifti1Header()
    header.set_data_shape(SHAPE)
    header.set_data_dtype(np.uint16)
    header.set_zooms((0.3, 0.3, 0.6))
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    with path.open("wb") as file:
        header.write_to(file)
        # A file of holes: the zeros are never written.
        file.truncate(352 + BYTES)
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < BYTES + SLACK
