"""Synthetic images for the tests of the page: computed, so that they are nobody's."""

from __future__ import annotations

import zipfile
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK
from numpy.typing import NDArray
from PIL import Image as Picture
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from scipy import ndimage

ORGANS = (
    # centre and radii as parts of the extent (x, y, z), HU
    ((0.36, 0.45, 0.55), (0.13, 0.15, 0.22), 110.0),
    ((0.66, 0.42, 0.50), (0.09, 0.10, 0.16), 160.0),
    ((0.60, 0.62, 0.45), (0.06, 0.05, 0.10), -40.0),
    ((0.40, 0.42, 0.58), (0.035, 0.04, 0.06), 30.0),
)


def volume(shape: tuple[int, int, int] = (40, 96, 112), seed: int = 3) -> NDArray[np.int16]:
    """A body with organs and a spine in HU, int16 (z, y, x)."""
    # Float32 by slices: a volume of CT size then needs no gigabytes beside itself.
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : shape[1] * 1j, 0 : 1 : shape[2] * 1j].astype(np.float32)
    body = ((x - 0.5) / 0.44) ** 2 + ((y - 0.5) / 0.36) ** 2
    spine = ((x - 0.5) / 0.06) ** 2 + ((y - 0.74) / 0.07) ** 2
    result = np.empty(shape, dtype=np.int16)
    noise = rng.normal(0, 12, shape[1:]).astype(np.float32)
    for slice_number in range(shape[0]):
        z = slice_number / max(1, shape[0] - 1)
        plane = np.where(body < 1, 45.0, -1000.0).astype(np.float32)
        plane[(body < 1) & (body > 0.86)] = -90
        for (cx, cy, cz), (rx, ry, rz), value in ORGANS:
            plane[((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2 < 1] = value
        plane[spine < 1] = 420 + 260 * (np.cos(z * 40) > -0.3)
        result[slice_number] = plane + np.roll(noise, slice_number * 17)
    return result


HOT = (0.52, 0.30, 0.42)
"""Centre of what glows in ``tracer``, as parts of the extent of ``volume`` (x, y, z); nothing is seen of it there."""
HOT_MM = 9.0


def tracer(path: Path, shape: tuple[int, int, int] = (40, 96, 112)) -> Path:
    """A coarser image of the patient of ``volume`` as NIfTI, in which a ball glows that the other does not show."""
    spacing, extent = np.array([2.4, 2.4, 4.0]), (np.array(shape[::-1]) - 1) * [0.8, 0.8, 2.5]
    size = np.ceil(extent / spacing).astype(int) + 3
    x, y, z = (axis * mm - 2.0 for axis, mm in zip(np.indices(size), spacing, strict=True))
    body = ((x / extent[0] - 0.5) / 0.44) ** 2 + ((y / extent[1] - 0.5) / 0.36) ** 2 < 1
    middle = np.array(HOT) * extent
    glow = (x - middle[0]) ** 2 + (y - middle[1]) ** 2 + (z - middle[2]) ** 2
    noise = np.random.default_rng(4).normal(0, 0.05, body.shape)
    values = ndimage.gaussian_filter(np.where(glow < HOT_MM**2, 12.0, np.where(body, 1.2, 0.0)), 0.5) + noise
    affine = np.diag([*(-spacing[:2]), spacing[2], 1.0])
    affine[:3, 3] = [2.0, 2.0, -2.0]
    nibabel.save(nibabel.Nifti1Image(values.clip(0).astype(np.float32), affine), path)
    return path


def oblique_affine(spacing: tuple[float, float, float], degrees: float = 25.0) -> NDArray[np.float64]:
    """An affine in RAS mm of an oblique, left-handed grid."""
    angle = np.deg2rad(degrees)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ np.diag([-spacing[0], -spacing[1], spacing[2]])
    matrix[:3, 3] = [40.0, 55.0, -30.0]
    return matrix


def write_nifti(path: Path, voxels: NDArray[np.int16], affine: NDArray[np.float64] | None = None) -> Path:
    """Voxels (z, y, x) as NIfTI; by default LPS axes with spacing 0.8 x 0.8 x 2.5 mm."""
    matrix = np.diag([-0.8, -0.8, 2.5, 1.0]) if affine is None else affine
    nibabel.save(nibabel.Nifti1Image(voxels.transpose(2, 1, 0), matrix), path)
    return path


def write_itk(path: Path, voxels: NDArray[np.int16]) -> Path:
    """Voxels (z, y, x) as NRRD or MHA, by the suffix."""
    image = SimpleITK.GetImageFromArray(voxels)
    image.SetSpacing((0.8, 0.8, 2.5))
    image.SetOrigin((-20.0, 11.0, 5.0))
    SimpleITK.WriteImage(image, str(path))
    return path


def write_dicom(folder: Path, voxels: NDArray[np.int16]) -> Path:
    """Voxels (z, y, x) as a folder of CT slices."""
    folder.mkdir(parents=True, exist_ok=True)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    for number, plane in enumerate(voxels):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        data = Dataset()
        data.file_meta = meta
        data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = study, series, frame
        data.Modality, data.PatientName, data.PatientID = "CT", "Phantom", "phantom"
        data.SeriesNumber, data.InstanceNumber = 1, number + 1
        data.Rows, data.Columns = plane.shape
        data.PixelSpacing, data.SliceThickness = [0.8, 0.8], 2.5
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data.ImagePositionPatient = [-20.0, 11.0, 5.0 + 2.5 * number]
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
        data.RescaleSlope, data.RescaleIntercept = 1, 0
        data.PixelData = plane.tobytes()
        data.save_as(folder / f"{number:03d}.dcm", enforce_file_format=True)
    return folder


def write_zip(path: Path, folder: Path) -> Path:
    """A folder's files as a zip."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    return path


def picture(side: int = 300) -> NDArray[np.uint8]:
    """A grey picture, uint8 (y, x)."""
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : (side + 80) * 1j]
    grey = np.full(x.shape, 25.0)
    for (cx, cy, _), (rx, ry, _), value in ORGANS[:3]:
        grey[((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1] = 110 + value / 2
    return (grey + np.random.default_rng(5).normal(0, 7, grey.shape)).clip(0, 255).astype(np.uint8)


def colour_picture(side: int = 300) -> NDArray[np.uint8]:
    """A colour picture, uint8 (y, x, 3)."""
    grey = picture(side).astype(float)
    return np.stack([grey * 1.1 + 40, grey * 0.7 + 20, grey * 0.5 + 30], axis=-1).clip(0, 255).astype(np.uint8)


def cells(shape: tuple[int, int] = (360, 520), seed: int = 2) -> tuple[NDArray[np.uint8], list[tuple[int, int]]]:
    """Bright cells of several sizes on a dark ground, and their middles (x, y)."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    pixels = np.full(shape, 38.0)
    middles = []
    for row in range(45, shape[0] - 30, 68):
        for column in range(45, shape[1] - 30, 72):
            a, b = column + int(random.integers(-12, 13)), row + int(random.integers(-12, 13))
            across, down = random.uniform(13, 21, 2)
            pixels[((x - a) / across) ** 2 + ((y - b) / down) ** 2 < 1] = random.uniform(150, 200)
            middles.append((a, b))
    noisy = ndimage.gaussian_filter(pixels, 1.2) + random.normal(0, 0.5, shape)
    return noisy.clip(0, 255).astype(np.uint8), middles


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> Path:
    """Pixels as PNG, JPEG or TIFF, by the suffix."""
    Picture.fromarray(pixels).save(path)
    return path
