"""Time, size and memory of writing SEG and RTSTRUCT beside highdicom alone, dcmqi and rt-utils, in one run.

    python -m research.dicom_objects --slices 600 --side 512 --segments 20

Each writer runs in a process of its own. dcmqi and rt-utils are measured where they can be imported
(`pip install dcmqi rt-utils`), else they are left out. Segments are ellipsoids, some with a hole.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WRITERS = ("bedside binary", "bedside labelmap", "highdicom binary", "highdicom labelmap", "dcmqi", "bedside rtstruct",
           "rt-utils")  # fmt: skip


def make_labels(slices: int, side: int, segments: int) -> NDArray[np.uint8]:
    """A label map (z, y, x) of ellipsoids, every third one hollow."""
    labels = np.zeros((slices, side, side), np.uint8)
    rng = np.random.default_rng(0)
    for label in range(1, segments + 1):
        radius = np.array([slices, side, side]) * rng.uniform(0.05, 0.18, 3)
        centre = radius + rng.random(3) * (np.array(labels.shape) - 2 * radius)
        low, high = np.floor(centre - radius).astype(int).clip(0), np.ceil(centre + radius).astype(int)
        box = tuple(slice(a, min(b, n)) for a, b, n in zip(low, high, labels.shape, strict=True))
        grid = np.ogrid[box]
        distance = sum(((g - c) / r) ** 2 for g, c, r in zip(grid, centre, radius, strict=True))
        labels[box][(distance < 1) & ((distance > 0.25) | (label % 3 != 0))] = label
    return labels


def make_series(folder: Path, labels: NDArray[np.uint8]) -> None:
    """Write CT slices, the label map as an array, and a NRRD file for dcmqi."""
    import SimpleITK as sitk  # noqa: N813 - the name that all its users know
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

    (folder / "ct").mkdir()
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    pixels = np.zeros(labels.shape[1:], np.int16).tobytes()
    for z in range(len(labels)):
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = UID("1.2.840.10008.5.1.4.1.1.2")
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
        made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = study, series, frame
        made.PatientName = made.PatientID = made.PatientBirthDate = made.PatientSex = made.AccessionNumber = ""
        made.StudyID = made.StudyDate = made.StudyTime = made.PositionReferenceIndicator = ""
        made.Modality, made.SeriesNumber, made.InstanceNumber = "CT", 1, z + 1
        made.Rows, made.Columns = labels.shape[1:]
        made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
        made.PixelSpacing, made.SliceThickness = [0.8, 0.8], 1.0
        made.ImageOrientationPatient, made.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-200, -200, float(z)]
        made.PixelData = pixels
        made.save_as(folder / "ct" / f"{z:04d}.dcm", enforce_file_format=True)
    np.save(folder / "labels.npy", labels)
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing((0.8, 0.8, 1.0))
    image.SetOrigin((-200, -200, 0))
    sitk.WriteImage(image, str(folder / "labels.nrrd"), useCompression=True)
    code = {"CodeValue": "85756007", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Tissue"}
    items = [
        {"labelID": n, "SegmentDescription": f"s{n}", "SegmentAlgorithmType": "MANUAL",
         "SegmentedPropertyCategoryCodeSequence": code, "SegmentedPropertyTypeCodeSequence": code}
        for n in range(1, int(labels.max()) + 1)
    ]  # fmt: skip
    meta = {"ContentCreatorName": "x", "SeriesDescription": "x", "SeriesNumber": "9", "InstanceNumber": "1",
            "BodyPartExamined": "", "segmentAttributes": [items]}  # fmt: skip
    (folder / "meta.json").write_text(json.dumps(meta))


def run_writer(name: str, folder: Path) -> float:
    """Write ``out.dcm`` by one writer from what ``make_series`` left; the seconds that the writing took."""
    out = folder / "out.dcm"
    if name == "dcmqi":
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", "from dcmqi import itkimage2segimage as f; f()", "--inputImageList",
             str(folder / "labels.nrrd"), "--inputDICOMDirectory", str(folder / "ct"), "--inputMetadata",
             str(folder / "meta.json"), "--outputDICOM", str(out), "--skip"],
            check=True, capture_output=True,
        )  # fmt: skip
        return time.perf_counter() - began
    labels = np.load(folder / "labels.npy")
    if name == "rt-utils":
        from rt_utils import RTStructBuilder  # type: ignore[import-not-found, unused-ignore]

        began = time.perf_counter()
        made = RTStructBuilder.create_new(dicom_series_path=str(folder / "ct"))
        for label in range(1, int(labels.max()) + 1):
            made.add_roi(mask=np.ascontiguousarray((labels == label).transpose(1, 2, 0)), name=f"s{label}")
        made.save(str(out))
        return time.perf_counter() - began
    if name.startswith("highdicom"):
        return _highdicom(name.split()[1].upper(), folder, labels)
    import highdicom  # noqa: F401 - loaded before the clock starts, as for the others

    from bedside.core.geometry import Geometry
    from bedside.core.image import Image
    from bedside.io.dicom.rtstruct_writing import write_rtstruct
    from bedside.io.dicom.seg_writing import write_seg
    from bedside.io.dicom.segments import segments_of_labels
    from bedside.io.dicom.source import find_source
    from bedside.io.reading import read_image

    header = read_image(folder / "ct" / "0000.dcm").metadata
    began = time.perf_counter()
    geometry = Geometry.create(labels.shape, (0.8, 0.8, 1.0), (-200, -200, 0))
    source = find_source(Image(labels, geometry, source=str(folder / "ct"), metadata=header))
    segments = segments_of_labels(labels)
    if name == "bedside rtstruct":
        write_rtstruct(out, segments, source)
    else:
        write_seg(out, segments, source, seg_type="labelmap" if "labelmap" in name else "binary")
    return time.perf_counter() - began


def _highdicom(kind: str, folder: Path, labels: NDArray[np.uint8]) -> float:
    import highdicom as hd
    import pydicom
    from pydicom.sr.codedict import codes

    began = time.perf_counter()
    images = [pydicom.dcmread(p, stop_before_pixels=True) for p in sorted((folder / "ct").iterdir())]
    descriptions = [
        hd.seg.SegmentDescription(n, f"s{n}", codes.SCT.Tissue, codes.SCT.Tissue, "MANUAL")
        for n in range(1, int(labels.max()) + 1)
    ]
    made = hd.seg.Segmentation(
        images, labels, kind, descriptions, hd.UID(), 1, hd.UID(), 1, "x", "y", "1", "0"
    )  # fmt: skip
    made.save_as(folder / "out.dcm")
    return time.perf_counter() - began


def used() -> float:
    """Processor seconds of this process and the processes that it has waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usages)


def measure(name: str, folder: Path) -> dict[str, Any] | None:
    """Seconds, bytes and the peak memory of one writer in a process of its own; None where it is not installed."""
    module = {"dcmqi": "dcmqi", "rt-utils": "rt_utils"}.get(name)
    if (
        module
        and subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, check=False).returncode
    ):
        return None
    command = [sys.executable, "-m", "research.dicom_objects", "--writer", name, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {**json.loads(done.stdout.splitlines()[-1]), "bytes": (folder / "out.dcm").stat().st_size}


def main() -> None:
    """Measure all writers and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option, value in (("--slices", 600), ("--side", 512), ("--segments", 20)):
        parser.add_argument(option, type=int, default=value)
    parser.add_argument("--only", default="", help="Measure only the writers whose name holds this.")
    parser.add_argument("--writer", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.writer:
        before = used()
        seconds = run_writer(asked.writer, asked.folder)
        computing = used() - before
        peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        print(json.dumps({"seconds": seconds, "cpu": computing, "peak": peak * 1024}))
        return
    print(f"{asked.side} x {asked.side} x {asked.slices}, {asked.segments} segments")
    print(
        "| writer | seconds | processor seconds, loading included | MB | peak MB |\n|---|---|---|---|---|", flush=True
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_series(folder, make_labels(asked.slices, asked.side, asked.segments))
        for writer in [w for w in WRITERS if asked.only in w]:
            found = measure(writer, folder)
            if found is None:
                print(f"| {writer} | not installed | | | |", flush=True)
                continue
            size, peak = found["bytes"] / 1e6, found["peak"] / 1e6
            print(f"| {writer} | {found['seconds']:.1f} | {found['cpu']:.1f} | {size:.1f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
