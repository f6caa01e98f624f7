"""Seconds and peak memory of reading a CT series, beside SimpleITK's series reader in the same run.

``python benchmarks/reading.py [--slices 600] [--rounds 3] [--json]``: writes a series of 512 x 512 slices into a
temporary folder and has fresh processes read it in turns, so that both meet the same warm file cache.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SIDE = 512
READERS = ("bedside", "SimpleITK")


def write_series(folder: Path, slices: int) -> None:
    """CT slices of noise on a gradient, int16 with an intercept of -1024, named without regard to their order."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    random = np.random.default_rng(0)
    noise = random.normal(0, 20, (SIDE, SIDE))
    for number, name in enumerate(random.permutation(slices)):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2", "1.2.3"
        dataset.PatientID, dataset.PatientName, dataset.Manufacturer = "benchmark", "Bench^Mark", "nobody"
        dataset.Modality, dataset.InstanceNumber, dataset.ImageType = "CT", number + 1, ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.ImagePositionPatient = [-180.0, -180.0, round(-400 + 0.7 * number, 3)]
        dataset.ImageOrientationPatient = [1.0, 0, 0, 0, 1, 0]
        dataset.PixelSpacing, dataset.SliceThickness = [0.7, 0.7], 1.0
        dataset.Rows = dataset.Columns = SIDE
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
        samples = np.clip(1024 + noise + number % 50, 0, 4000).astype(np.int16)
        dataset.PixelData = samples.tobytes()
        dataset["PixelData"].VR = "OW"
        dataset.save_as(folder / f"{name:04d}.dcm", enforce_file_format=True)


def read(reader: str, folder: Path) -> dict[str, float]:
    """Read the series in this process; seconds, and peak memory above what the libraries take, in parts of samples."""
    if reader == "bedside":
        import pydicom  # noqa: F401 - loaded before the clock starts, as SimpleITK is

        import bedside
        from bedside.io import read_image

        del bedside
    else:
        import SimpleITK as sitk  # noqa: N813
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, worked = time.perf_counter(), time.process_time()
    if reader == "bedside":
        array = read_image(folder).array
        size, total = array.nbytes, int(array[::37, ::7, ::5].sum(dtype=np.int64))
    else:
        names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
        series = sitk.ImageSeriesReader()
        series.SetFileNames(names)
        view = sitk.GetArrayViewFromImage(image := series.Execute())
        size, total = SIDE * SIDE * image.GetSize()[2] * 2, int(view[::37, ::7, ::5].sum(dtype=np.int64))
    seconds, processor = time.perf_counter() - began, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"seconds": seconds, "processor": processor, "memory": peak * 1024 / size, "checksum": total}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", nargs=2, metavar=("READER", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(read(arguments.child[0], Path(arguments.child[1]))))
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in READERS}
    with tempfile.TemporaryDirectory(prefix="bedside-reading-") as folder:
        write_series(Path(folder), arguments.slices)
        for _ in range(arguments.rounds):
            for name in READERS:
                command = [sys.executable, __file__, "--child", name, folder]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found[name].append(json.loads(done.stdout))
    checksums = {run["checksum"] for runs in found.values() for run in runs}
    result = {
        name: {
            "seconds": round(statistics.median(r["seconds"] for r in runs), 3),
            "seconds of the processor": round(statistics.median(r["processor"] for r in runs), 3),
            "memory in parts of the samples": round(statistics.median(r["memory"] for r in runs), 2),
        }
        for name, runs in found.items()
    }
    if arguments.json:
        print(json.dumps({"slices": arguments.slices, "same samples": len(checksums) == 1, **result}, indent=2))
        return
    same = len(checksums) == 1
    print(f"{SIDE} x {SIDE} x {arguments.slices} CT, {arguments.rounds} rounds, medians, same samples: {same}")
    for name, values in result.items():
        print(f"{name:<10} " + ", ".join(f"{value} {what}" for what, value in values.items()))


if __name__ == "__main__":
    main()
