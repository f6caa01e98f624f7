"""Segments two real images from a box, a point and a corrective click, and says how long each stage took.

Run by `make demo`. The images come with packages that Bedside installs anyway: a CT slice through the chest (pydicom)
and an MR volume of a head (nibabel). Everything below is the public Python API, and the picture is the one that
`bedside segment --overlay` draws.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from rich.console import Console
from rich.table import Table

import bedside
from bedside.cli.overlay import draw_overlay

OUTPUT = Path("demo-output")
STAGES = ("read", "load model", "first masks", "correction", "write")


@dataclass
class Timings:
    """Seconds that each stage of one image took."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time that the block takes to the stage ``name``."""
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def chest_ct(clock: Timings) -> tuple[bedside.Session, list[Path]]:
    """Two objects in one CT slice: the spinal canal from a box, the aorta from a point and a correction."""
    with clock.stage("read"):
        image = bedside.read_image(Path(str(files("pydicom"))) / "data/test_files/CT_small.dcm")
    with clock.stage("load model"):
        session = bedside.Session(image)
    with clock.stage("first masks"):
        # A DICOM file is a volume of one slice, so coordinates are (x, y, z) with z = 0.
        session.add_object("spinal canal")
        session.add_box((47, 41, 0), (72, 62, 1))
        session.add_object("aorta")
        session.add_point((88, 12, 0))
    with clock.stage("correction"):
        session.add_point((80, 24, 0), positive=False)
    with clock.stage("write"):
        written = write(session, "ct")
        labels = OUTPUT / "ct-labels.png"
        plane = session.label_map()[0]
        bedside.write_mask(labels, plane, bedside.Geometry.create(plane.shape, image.geometry.spacing[:2]))
    return session, [labels, *written]


def head_mr(clock: Timings) -> tuple[bedside.Session, list[Path]]:
    """The bodies of the lateral ventricles in a volume: a 3D box over three slices, then a click beside them."""
    with clock.stage("read"):
        image = bedside.read_image(Path(str(files("nibabel"))) / "tests/data/example4d.nii.gz", volume=0)
    with clock.stage("load model"):
        session = bedside.Session(image)
    with clock.stage("first masks"):
        session.add_object("lateral ventricles")
        session.add_box((54, 28, 17), (77, 62, 20))
    with clock.stage("correction"):
        session.add_point((65, 33, 18), positive=False)
    with clock.stage("write"):
        written = write(session, "mr")
    return session, written


def write(session: bedside.Session, name: str) -> list[Path]:
    """Write the label map, a picture of it and the journal of prompts; returns where they lie."""
    labels, overlay, journal = (OUTPUT / f"{name}-{what}" for what in ("labels.nii.gz", "overlay.png", "session.json"))
    bedside.write_mask(labels, session.label_map(), session.image.geometry)
    prompts = [given.prompt for item in session.objects for given in item.prompts]
    draw_overlay(session.image, session.label_map(), prompts).save(overlay)
    session.save(journal)
    return [labels, overlay, journal]


def summary(runs: dict[str, tuple[bedside.Session, list[Path], Timings]]) -> None:
    """Print what was found, where it lies, and how long it took."""
    console = Console()
    found = Table(title="Objects", title_justify="left")
    for name in ("image", "object", "prompts", "voxels", "size"):
        found.add_column(name)
    took = Table(title="Seconds", title_justify="left")
    took.add_column("image")
    for stage in STAGES:
        took.add_column(stage, justify="right")
    for name, (session, _, clock) in runs.items():
        for item in session.objects:
            prompts = ", ".join(("" if p.prompt.positive else "negative ") + p.prompt.kind for p in item.prompts)
            size = f"{item.voxels * session.image.geometry.voxel_volume / 1000:.2f} ml"
            found.add_row(name, item.name, prompts, f"{item.voxels:,}", size)
        took.add_row(name, *(f"{clock.seconds[stage]:.3f}" for stage in STAGES))
    console.print(found)
    console.print(took)
    model = next(iter(runs.values()))[0].model
    console.print(f"bedside {bedside.__version__}, model {model}. Written:")
    for _, written, _ in runs.values():
        console.print("  " + "  ".join(map(str, written)), highlight=False, soft_wrap=True)
    console.print("Not a medical device: for research and teaching.")


def main() -> int:
    """Run both images; 0 when all went well, 2 for an error of ours, 1 where an object came out empty."""
    OUTPUT.mkdir(exist_ok=True)
    runs = {}
    try:
        for name, run in (("chest CT", chest_ct), ("head MR", head_mr)):
            clock = Timings()
            runs[name] = (*run(clock), clock)
    except bedside.BedsideError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    summary(runs)
    empty = [item.name for session, _, _ in runs.values() for item in session.objects if not item.voxels]
    if empty:
        print(f"demo: the model found nothing for {', '.join(empty)}", file=sys.stderr)
    return 1 if empty else 0


if __name__ == "__main__":
    sys.exit(main())
