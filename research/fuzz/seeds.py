"""Small valid files of every format, to be damaged: by Bedside's own writers, and by other libraries."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.io import read_image, write_image, write_mask
from bedside.io.dicom.segments import SegmentSet, segments_of_labels
from bedside.io.registry import READERS, WRITERS
from bedside.io.segmentations import write_segments


@dataclass(frozen=True)
class Seed:
    """Files that one reader reads as one image.

    Attributes:
        reader: Name of the reader.
        files: Content by name, below the folder that they are put into.
        entry: What is given to the reader: a name of a file; "" for the folder.
    """

    reader: str
    files: dict[str, bytes]
    entry: str


def make_seeds() -> dict[str, list[Seed]]:
    """Return the seeds of each reader in the registry; one that nobody makes files for gets those of all others."""
    found: dict[str, list[Seed]] = {name: [] for name, _ in READERS.items()}
    for reader, make in [*_by_writers(), *_by_libraries()]:
        with tempfile.TemporaryDirectory(prefix="seeds-") as folder:
            entry = make(Path(folder))
            files = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}
        if reader in found:
            found[reader].append(Seed(reader, files, entry))
    everything = [seed for seeds in found.values() for seed in seeds]
    for name, of in READERS.items():
        if not found[name]:
            found[name] = [_renamed(seed, name, (*of.suffixes, "")[0]) for seed in everything]
    return found


def _renamed(seed: Seed, reader: str, suffix: str) -> Seed:
    name = f"seed{suffix}"
    return Seed(reader, {name if k == seed.entry else k: v for k, v in seed.files.items()}, name if seed.entry else "")


def _images() -> dict[str, Image]:
    rng = np.random.default_rng(0)
    volume = rng.integers(-500, 500, (5, 7, 9)).astype(np.int16)
    return {
        "grey": Image(rng.integers(0, 255, (13, 11)).astype(np.uint8), Geometry.create((13, 11))),
        "deep": Image(rng.integers(0, 60000, (13, 11)).astype(np.uint16), Geometry.create((13, 11), (0.5, 0.25))),
        "colour": Image(rng.integers(0, 255, (13, 11, 3)).astype(np.uint8), Geometry.create((13, 11))),
        "volume": Image(volume, Geometry.create(volume.shape, (0.7, 0.8, 2.5), (-3.0, 4.0, 5.0))),
        "float": Image(volume.astype(np.float32), Geometry.create(volume.shape)),
    }


Make = Callable[[Path], str]


def _by_writers() -> Iterator[tuple[str, Make]]:
    """Yield each image in each format that Bedside writes; what a format cannot hold is left out."""
    for name, writer in WRITERS.items():
        for suffix in writer.suffixes:
            for kind, image in _images().items():

                def make(folder: Path, image: Image = image, path: str = f"{kind}{suffix}") -> str:
                    write_image(folder / path, image)
                    return path

                def make_mask(folder: Path, image: Image = image, path: str = f"mask-{kind}{suffix}") -> str:
                    write_mask(folder / path, (image.array > 0).astype(np.uint8), image.geometry)
                    return path

                for one in (make,) if image.is_colour else (make, make_mask):
                    if _works(one):
                        yield name, one


def _works(make: Make) -> bool:
    with tempfile.TemporaryDirectory(prefix="seeds-") as folder:
        try:
            make(Path(folder))
        except Exception:  # A format that holds no such image.
            return False
    return True


def _by_libraries() -> Iterator[tuple[str, Make]]:
    yield from (("bmp", _pillow("a.bmp", mode)) for mode in ("1", "L", "P", "RGB"))
    yield from (("jpeg", _pillow("a.jpg", mode)) for mode in ("L", "RGB", "CMYK"))
    yield "jpeg", _pillow("a.jpg", "RGB", progressive=True)
    yield from (("png", _pillow("a.png", mode)) for mode in ("1", "P", "LA", "RGBA", "I;16"))
    yield from (("tiff", _tiff(**options)) for options in _TIFFS)
    yield from (("tiff", _pillow("a.tif", mode, compression=code)) for mode, code in _PILLOW_TIFFS)
    for name in ("a.nii", "a.nii.gz", "a.hdr", "a.nii2"):
        yield "nifti", _nibabel(name)
    for name in ("a.mgz", "a.mgh"):
        yield "mgh", _nibabel(name)
    yield from (("nrrd", _nrrd(code)) for code in ("raw", "gzip", "bzip2", "ascii", "hex"))
    yield from (("nrrd", _detached), ("nrrd", _listed))
    yield from (("metaimage", _itk("a.mha", packed)) for packed in (False, True))
    yield from (("metaimage", _itk("a.mhd", packed)) for packed in (False, True))
    yield from (("dicom", _dicom(frames, syntax)) for frames in (1, 4) for syntax in ("plain", "rle", "implicit"))
    yield from (("dicom", _series), ("dicom", _seg))
    yield "npz", _case
    yield from (("omezarr", _zarr(version)) for version in (2, 3))


_TIFFS: tuple[dict[str, Any], ...] = (
    {"compression": "lzw"},
    {"compression": "zlib", "predictor": True},
    {"compression": "packbits"},
    {"compression": "zstd"},
    {"tile": (16, 16)},
    {"tile": (16, 16), "compression": "zlib", "bigtiff": True},
    {"imagej": True},
    {"ome": True, "metadata": {"axes": "ZYX"}},
    {"metadata": None},
    {"photometric": "minisblack", "rowsperstrip": 2, "byteorder": ">"},
)
_PILLOW_TIFFS = (("1", "group4"), ("L", "tiff_lzw"), ("RGB", "jpeg"), ("P", "packbits"))
_STEPS = np.arange(6 * 20 * 18, dtype=np.uint16).reshape(6, 20, 18)


def _pillow(name: str, mode: str, **options: Any) -> Make:
    def make(folder: Path) -> str:
        import PIL.Image

        picture = PIL.Image.fromarray((_STEPS[0] % 251).astype(np.uint8))
        picture = PIL.Image.fromarray(_STEPS[0]) if mode == "I;16" else picture.convert(mode)
        picture.save(folder / name, **options)
        return name

    return make


def _tiff(**options: Any) -> Make:
    def make(folder: Path) -> str:
        import tifffile

        tifffile.imwrite(folder / "a.tif", _STEPS, **options)
        return "a.tif"

    return make


def _nibabel(name: str) -> Make:
    def make(folder: Path) -> str:
        import nibabel as nib

        array = _STEPS.astype(np.int16)
        if name.startswith("a.mg"):
            nib.save(nib.MGHImage(array.astype(np.float32), np.eye(4)), folder / name)
            return name
        kind = {"a.hdr": nib.Nifti1Pair, "a.nii2": nib.Nifti2Image}.get(name, nib.Nifti1Image)
        path = "a.nii" if name == "a.nii2" else name
        nib.save(kind(array, np.diag([0.5, 0.6, 2.0, 1.0])), folder / path)
        return path

    return make


def _nrrd_header(code: str, *more: str) -> bytes:
    lines = ("NRRD0004", "type: uint16", "dimension: 3", "space: left-posterior-superior", "sizes: 18 20 6",
             "space directions: (0.5,0,0) (0,0.5,0) (0,0,2)", "kinds: domain domain domain", "endian: little",
             f"encoding: {code}", "space origin: (1,2,3)", *more, "", "")  # fmt: skip
    return "\n".join(lines).encode()


def _nrrd(code: str) -> Make:
    def make(folder: Path) -> str:
        import bz2

        raw = _STEPS.tobytes()
        text = " ".join(map(str, _STEPS.ravel())).encode()
        coded = {"raw": raw, "gzip": gzip.compress(raw), "bzip2": bz2.compress(raw), "ascii": text}
        (folder / "a.nrrd").write_bytes(_nrrd_header(code) + coded.get(code, raw.hex().encode()))
        return "a.nrrd"

    return make


def _detached(folder: Path) -> str:
    (folder / "a.nhdr").write_bytes(_nrrd_header("raw", "data file: a.raw"))
    (folder / "a.raw").write_bytes(_STEPS.tobytes())
    return "a.nhdr"


def _listed(folder: Path) -> str:
    (folder / "a.nhdr").write_bytes(_nrrd_header("raw", "data file: s%d.raw 0 5 1"))
    for number, plane in enumerate(_STEPS):
        (folder / f"s{number}.raw").write_bytes(plane.tobytes())
    return "a.nhdr"


def _itk(name: str, packed: bool) -> Make:
    def make(folder: Path) -> str:
        import SimpleITK as sitk  # noqa: N813 - the name that all its users know

        sitk.WriteImage(sitk.GetImageFromArray(_STEPS), str(folder / name), useCompression=packed)
        return name

    return make


def _dataset(samples: NDArray[np.uint16], number: int = 1) -> Any:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.2")
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.3.{number}")
    made.StudyInstanceUID, made.SeriesInstanceUID, made.Modality = "1.2.4", "1.2.5", "CT"
    made.FrameOfReferenceUID = "1.2.6"
    made.Rows, made.Columns = samples.shape[-2:]
    if samples.ndim == 3:
        made.NumberOfFrames = len(samples)
    else:
        made.PixelSpacing, made.ImageOrientationPatient = [0.5, 0.5], [1, 0, 0, 0, 1, 0]
        made.SliceThickness, made.PositionReferenceIndicator = 2.0, ""
        made.ImagePositionPatient, made.InstanceNumber = [0, 0, 2.0 * number], number
    made.RescaleSlope, made.RescaleIntercept, made.PixelPaddingValue = 1, -1024, 0
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
    made.PixelData = samples.tobytes()
    made["PixelData"].VR = "OW"
    return made


def _dicom(frames: int, syntax: str) -> Make:
    def make(folder: Path) -> str:
        from pydicom.uid import ImplicitVRLittleEndian, RLELossless

        made = _dataset(_STEPS[0] if frames == 1 else _STEPS[:frames])
        if syntax == "rle":
            made.compress(RLELossless)
        elif syntax == "implicit":
            made.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        made.save_as(folder / "a.dcm", enforce_file_format=True)
        return "a.dcm"

    return make


def write_series(folder: Path) -> None:
    """Write a series of four slices, whose every UID is the same each time."""
    folder.mkdir(exist_ok=True)
    for number, plane in enumerate(_STEPS[:4], start=1):
        _dataset(plane, number).save_as(folder / f"{number}.dcm", enforce_file_format=True)


def _series(folder: Path) -> str:
    write_series(folder)
    return ""


def _seg(folder: Path) -> str:
    with tempfile.TemporaryDirectory(prefix="seeds-") as place:
        _series(Path(place))
        image = read_image(place)
        found = SegmentSet(segments_of_labels((image.array > 0).astype(np.uint8)), image.geometry)
        write_segments(folder / "seg.dcm", found, image, form="dicom-seg")
    return "seg.dcm"


def _case(folder: Path) -> str:
    boxes = np.array([{"z_min": 1, "z_max": 3, "z_mid": 2, "z_mid_x_min": 1, "z_mid_y_min": 2,
                       "z_mid_x_max": 5, "z_mid_y_max": 6}], object)  # fmt: skip
    clicks = np.array([{"fg": [[1, 2, 3]], "bg": []}], object)
    np.savez_compressed(folder / "CT_a.npz", imgs=(_STEPS % 251).astype(np.uint8), spacing=[1.0, 1.0, 2.0],
                        boxes=boxes, clicks=clicks, gts=(_STEPS > 99).astype(np.uint8))  # fmt: skip
    return "CT_a.npz"


def _zarr(version: int) -> Make:
    def make(folder: Path) -> str:
        import zarr

        group: Any = zarr.open_group(str(folder), mode="w", zarr_format=2 if version == 2 else 3)
        group.create_array("0", data=_STEPS, chunks=(3, 10, 9))
        scale = [{"type": "scale", "scale": [2.0, 0.5, 0.5]}]
        axes = [{"name": n, "type": "space", "unit": "millimeter"} for n in "zyx"]
        described = [{"version": "0.4", "axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}]
        group.attrs.update({"multiscales": described} if version == 2 else {"ome": {"multiscales": described}})
        return ""

    return make
