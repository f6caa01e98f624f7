"""What dcmjs (OHIF's parser) and plastimatch read of SEG and RTSTRUCT, and what Bedside reads of theirs.

    python -m research.dicom_readers

prints the rows of the tables in docs/dicom-objects.md. Node with npm (dcmjs is installed into a temporary folder) and
plastimatch (Debian's package) are asked where they are on this machine, else their rows are left out.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside import io
from bedside.core.image import Image
from bedside.io.dicom.rtstruct_reading import read_rtstruct
from bedside.io.dicom.rtstruct_writing import write_rtstruct
from bedside.io.dicom.seg_reading import read_seg
from bedside.io.dicom.seg_writing import write_seg
from bedside.io.dicom.segments import Segment, SegmentSet
from bedside.io.dicom.source import find_source
from research.dicom_objects import make_series

DCMJS = "0.41.0"
SHAPE = (5, 16, 24)
OBJECTS = ("SEG binary", "deflated", "SEG labelmap", "RLE", "RTSTRUCT keyhole", "RTSTRUCT XOR")
SCRIPT = Path(__file__).with_suffix(".cjs")


def masks() -> NDArray[np.uint8]:
    """Two overlapping segments (segment, z, y, x), with a hole, an island in it, and voxels alone."""
    made = np.zeros((2, *SHAPE), np.uint8)
    made[0, 0:4, 2:12, 2:14] = 1
    made[0, 0:4, 4:10, 4:12] = 0
    made[0, 0:4, 6:8, 7:9] = 1
    made[1, 2:5, 8:15, 10:21] = 1
    made[1, 3, 1, 22] = made[1, 0, 14, 1] = 1
    return made


def write_objects(folder: Path, image: Image) -> dict[str, Path]:
    """One file of each kind of object, by Bedside; label maps without what overlaps."""
    source, both = find_source(image), masks()
    segments = [Segment.of_mask(i, f"segment {i}", mask) for i, mask in enumerate(both, start=1)]
    apart = [segments[0], Segment.of_mask(2, "segment 2", both[1] & ~both[0])]
    paths = {name: folder / f"{name.replace(' ', '_')}.dcm" for name in OBJECTS}
    write_seg(paths["SEG binary"], segments, source)
    write_seg(paths["deflated"], segments, source, compress=True)
    write_seg(paths["SEG labelmap"], apart, source, seg_type="labelmap")
    write_seg(paths["RLE"], apart, source, seg_type="labelmap", compress=True)
    write_rtstruct(paths["RTSTRUCT keyhole"], segments, source)
    write_rtstruct(paths["RTSTRUCT XOR"], segments, source, keyhole=False)
    return paths


def ran(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program and return what it said, whether it failed or not."""
    return subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, check=False)


def differing(found: NDArray[Any], expected: NDArray[Any]) -> str:
    """Say how far masks agree."""
    wrong = int((found != expected).sum())
    return "exact" if wrong == 0 else f"{wrong} of {int((expected != 0).sum())} voxels differ"


# dcmjs


def see_dcmjs(folder: Path, path: Path, image: Image, name: str) -> str:
    """What dcmjs makes of an object."""
    done = ran("node", folder / SCRIPT.name, "read", path, cwd=folder)
    if done.returncode:
        return "cannot read"
    seen = json.loads(done.stdout)
    if "regions" in seen:
        count = sum(map(len, seen["regions"]))
        return f"parsed: {count} contours" if _contours_lie(seen["regions"], image) else "points elsewhere"
    if name == "RLE":
        return f"parsed; {seen['fragments']} fragments are left to the viewer"
    samples = np.frombuffer(base64.b64decode(seen["samples"]), np.uint8)
    size = SHAPE[1] * SHAPE[2]
    found = np.zeros((2, *SHAPE), np.uint8)
    for number, frame in enumerate(seen["frames"]):
        z = round(float(image.geometry.world_to_index(frame["position"])[2]))
        part = samples[number * size : (number + 1) * size].reshape(SHAPE[1:])
        for segment in (1, 2):
            if frame["segment"] in (0, segment):
                found[segment - 1, z] = part == segment if frame["segment"] == 0 else part != 0
    expected = masks()
    if name == "SEG labelmap":
        expected[1] &= ~expected[0]
    return differing(found, expected)


def _contours_lie(regions: list[list[list[float]]], image: Image) -> bool:
    """Whether all points lie on slices of the image and within it."""
    points = np.concatenate([np.reshape(c, (-1, 3)) for region in regions for c in region])
    index = image.geometry.world_to_index(points)
    inside = (index > -1).all() and (index < np.array(SHAPE[::-1])).all()
    return bool(inside and np.abs(index[:, 2] - np.rint(index[:, 2])).max() < 0.01)


def of_dcmjs(folder: Path, series: Path, image: Image) -> Iterator[tuple[str, str]]:
    """What Bedside reads of an object that dcmjs wrote."""
    (folder / "masks.raw").write_bytes(masks().tobytes())
    done = ran("node", folder / SCRIPT.name, "write", series, folder / "masks.raw", folder / "theirs.dcm", cwd=folder)
    if done.returncode:
        yield "SEG", f"not written: {done.stderr.strip()[-80:]}"
        return
    yield "SEG", _of(read_seg(folder / "theirs.dcm", image))


def _of(found: SegmentSet) -> str:
    notes = f"; {'; '.join(found.notes)}" if found.notes else ""
    named = sorted(found.segments, key=lambda segment: segment.name)
    return differing(np.stack([s.mask(SHAPE) for s in named]), masks()) + notes


# plastimatch


def see_plastimatch(folder: Path, path: Path, series: Path) -> str:
    """What plastimatch makes of an object."""
    out = folder / f"plastimatch-{path.stem}"
    done = ran(
        *("plastimatch", "convert", "--input", path, "--referenced-ct", series),
        *("--output-prefix", out, "--prefix-format", "mha"),
    )
    found = [out / f"segment {i}.mha" for i in (1, 2)]
    if not all(file.exists() for file in found):
        return "cannot read" if done.returncode else "no masks, without an error"
    return differing(np.stack([io.read_mask(file).array for file in found]), masks())


def of_plastimatch(folder: Path, series: Path, image: Image) -> Iterator[tuple[str, str]]:
    """What Bedside reads of an object that plastimatch wrote."""
    for number, mask in enumerate(masks(), start=1):
        (folder / "masks").mkdir(exist_ok=True)
        io.write_mask(folder / "masks" / f"segment {number}.nrrd", mask, image.geometry)
    ran(
        *("plastimatch", "convert", "--input-prefix", folder / "masks", "--referenced-ct", series),
        *("--output-dicom", folder / "theirs"),
    )
    for path in sorted((folder / "theirs").glob("*.dcm")):
        if "rtss" in path.name.lower():
            yield "RTSTRUCT", _of(read_rtstruct(path, image))


def main() -> None:
    """Print both tables."""
    rows: list[str] = []
    theirs: list[str] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_series(folder, np.zeros(SHAPE, np.uint8))
        series = folder / "ct"
        image = io.read_image(series)
        paths = write_objects(folder, image)

        def row(title: str, see: Callable[[str], str], of: Iterator[tuple[str, str]]) -> None:
            rows.append(f"| {title} | {' | '.join(see(name) for name in OBJECTS)} |")
            theirs.extend(f"| {title} | {kind} | {read} |" for kind, read in of)

        if shutil.which("npm") and ran("npm", "install", "--silent", f"dcmjs@{DCMJS}", cwd=folder).returncode == 0:
            shutil.copy(SCRIPT, folder)
            row(f"dcmjs {DCMJS}", lambda n: see_dcmjs(folder, paths[n], image, n), of_dcmjs(folder, series, image))
        if shutil.which("plastimatch"):
            version = re.search(r"[\d.]+", ran("plastimatch", "--version").stdout)
            title = f"plastimatch {version.group() if version else ''}"
            row(title, lambda n: see_plastimatch(folder, paths[n], series), of_plastimatch(folder, series, image))
    print(f"| reader | {' | '.join(OBJECTS)} |\n|{'---|' * (len(OBJECTS) + 1)}", *rows, sep="\n")
    print("\n| writer | object | read by Bedside |\n|---|---|---|", *theirs, sep="\n")


if __name__ == "__main__":
    main()
