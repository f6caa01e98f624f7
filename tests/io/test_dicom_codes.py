"""A file reads the same compressed or not: every code that can be written here, with every meaning of the samples."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pydicom.data
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.processing import convert_color_space
from pydicom.sequence import Sequence as Items
from pydicom.uid import JPEGLosslessSV1, RLELossless

from bedside import io
from bedside.core.errors import FormatError

WriteSeries = Callable[..., list[Path]]
ROWS, COLUMNS = 16, 24


def samples(bits: int, signed: bool, frames: int = 1) -> NDArray[Any]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    values = np.sort(np.random.default_rng(bits).integers(low, high, (frames, ROWS, COLUMNS)), axis=2)
    return values.astype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")


def lossless_jpeg(folder: Path, frame: NDArray[Any]) -> bytes:
    """The code stream of one frame, by ITK's writer."""
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetFileName(str(folder / "coded.dcm"))
    writer.UseCompressionOn()
    writer.SetCompressor("JPEG")
    # Signed samples are coded as their bits.
    writer.Execute(sitk.GetImageFromArray(frame.view(f"u{frame.dtype.itemsize}")))
    coded = pydicom.dcmread(folder / "coded.dcm")
    assert coded.file_meta.TransferSyntaxUID == JPEGLosslessSV1
    return next(iter(generate_frames(coded.PixelData, number_of_frames=1)))


def compressed(path: Path, syntax: Any) -> Path:
    """A copy of an uncompressed file in another transfer syntax, with the same header."""
    dataset = pydicom.dcmread(path)
    frames = int(dataset.get("NumberOfFrames") or 1)
    if syntax == RLELossless:
        dataset.compress(RLELossless, generate_instance_uid=False)
    else:
        kind = f"{'i' if dataset.PixelRepresentation else 'u'}{dataset.BitsAllocated // 8}"
        stored = np.frombuffer(dataset.PixelData, kind).reshape(frames, ROWS, COLUMNS)
        dataset.PixelData = encapsulate([lossless_jpeg(path.parent, frame) for frame in stored])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = syntax
    target = path.with_name(f"{path.name}.{syntax.keyword}")
    dataset.save_as(target)
    return target


def written(folder: Path, write: WriteSeries, array: NDArray[Any], bits: int, **tags: Any) -> Path:
    (path,) = write(folder / "source", [(0.0, 0.0, 0.0)], pixels=array[:1])
    dataset = pydicom.dcmread(path)
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    if len(array) > 1:
        dataset.NumberOfFrames, dataset.SpacingBetweenSlices = len(array), 2.0
        dataset.PixelData = array.tobytes()
    for key, value in tags.items():
        setattr(dataset, key, value)
        if key.startswith("PixelPadding") or key.endswith("TableDescriptor"):
            dataset[key].VR = "SS" if dataset.PixelRepresentation else "US"
    dataset.save_as(folder / "plain.dcm")
    return folder / "plain.dcm"


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLosslessSV1], ids=lambda s: s.keyword)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("scale", [(1, 0), (1, -1024), (0.5, 3)], ids=str)
@pytest.mark.parametrize(("bits", "signed"), [(8, False), (12, False), (16, False), (16, True)])
@pytest.mark.parametrize("frames", [1, 3])
def test_compressed_reads_as_uncompressed(
    tmp_path: Path,
    write_series: WriteSeries,
    syntax: Any,
    photometric: str,
    scale: tuple[float, float],
    bits: int,
    signed: bool,
    frames: int,
) -> None:
    array = samples(bits, signed, frames)
    slope, intercept = scale
    tags = {"PhotometricInterpretation": photometric, "RescaleSlope": slope, "RescaleIntercept": intercept}
    plain = written(tmp_path, write_series, array, bits, **tags)
    image, again = io.read_image(plain), io.read_image(compressed(plain, syntax))
    np.testing.assert_array_equal(again.array, image.array)
    assert again.array.dtype == image.array.dtype
    stored = array.astype(np.float64)
    if photometric == "MONOCHROME1":
        stored = -1 - stored if signed else 2**bits - 1 - stored
    np.testing.assert_allclose(image.array, stored * slope + intercept, rtol=1e-6)
    np.testing.assert_array_equal(io.read_mask(plain).array if not signed else array, array)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLosslessSV1], ids=lambda s: s.keyword)
@pytest.mark.parametrize("slopes", [(3.0, 2.0, 1.0), (1.0, 2.0, 3.0)], ids=str)
@pytest.mark.parametrize("up", [True, False])
def test_slopes_of_frames(
    tmp_path: Path, write_series: WriteSeries, syntax: Any, slopes: tuple[float, ...], up: bool
) -> None:
    groups = []
    for place, slope in enumerate(slopes):
        group, values, position = Dataset(), Dataset(), Dataset()
        values.RescaleSlope, values.RescaleIntercept = slope, 0
        position.ImagePositionPatient = [0.0, 0.0, 2.0 * place if up else -2.0 * place]
        group.PixelValueTransformationSequence, group.PlanePositionSequence = Items([values]), Items([position])
        groups.append(group)
    array = np.full((3, ROWS, COLUMNS), 100, np.uint16)
    plain = written(tmp_path, write_series, array, 16, PerFrameFunctionalGroupsSequence=Items(groups))
    expected = 100 * np.array(slopes if up else slopes[::-1])
    for path in (plain, compressed(plain, syntax)):
        np.testing.assert_allclose(io.read_image(path).array[:, 0, 0], expected)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLosslessSV1], ids=lambda s: s.keyword)
def test_doses_are_scaled(tmp_path: Path, write_series: WriteSeries, syntax: Any) -> None:
    array = np.full((3, ROWS, COLUMNS), 10_000, np.uint16)
    plain = written(
        tmp_path, write_series, array, 16, Modality="RTDOSE", DoseGridScaling=1e-4, GridFrameOffsetVector=[0.0, 2, 4]
    )
    dataset = pydicom.dcmread(plain)
    del dataset.RescaleSlope, dataset.RescaleIntercept
    dataset.save_as(plain)
    for path in (plain, compressed(plain, syntax)):
        np.testing.assert_allclose(io.read_image(path).array, 1.0)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_the_short_way_reads_what_the_library_reads(
    tmp_path: Path, write_series: WriteSeries, bits: int, signed: bool
) -> None:
    plain = written(tmp_path, write_series, samples(bits, signed, 3), bits)
    np.testing.assert_array_equal(io.read_image(plain).array, pydicom.dcmread(plain).pixel_array)


def test_padding_is_declared_in_the_samples_that_are_read(tmp_path: Path, write_series: WriteSeries) -> None:
    cases: list[tuple[dict[str, Any], tuple[float, float]]] = [
        ({"RescaleIntercept": -1024, "PixelPaddingValue": 100}, (-924, -924)),
        ({"RescaleIntercept": -1024, "PixelPaddingValue": 100, "PixelPaddingRangeLimit": 90}, (-934, -924)),
        ({"PhotometricInterpretation": "MONOCHROME1", "PixelPaddingValue": 0}, (4095, 4095)),
    ]
    for tags, expected in cases:
        plain = written(tmp_path, write_series, samples(12, False), 12, **tags)
        assert io.read_image(plain).padding == (expected,)
    plain = written(tmp_path, write_series, samples(16, True), 16, RescaleSlope=2, PixelPaddingValue=-2000)
    ((low, high),) = io.read_image(plain).padding
    assert low < -4000 < high
    assert high - low < 0.01


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stored=st.integers(1, 16),
    allocated=st.sampled_from([8, 16, 32]),
    signed=st.booleans(),
    white=st.booleans(),
    mixed=st.booleans(),
    seed=st.integers(0, 9),
)
def test_bits_beyond_those_stored_are_no_part_of_a_sample(
    tmp_path: Path,
    write_series: WriteSeries,
    stored: int,
    allocated: int,
    signed: bool,
    white: bool,
    mixed: bool,
    seed: int,
) -> None:
    """Old files keep overlays there; GDCM is the second reader, and arithmetic."""
    stored = min(stored, allocated)
    raw = np.random.default_rng(seed).integers(0, 2**allocated, (2, ROWS, COLUMNS), dtype=np.uint64)
    array = raw.astype(f"u{allocated // 8}").view(f"{'i' if signed else 'u'}{allocated // 8}")
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    positions = [(0.0, 0.0, 0.0), (0.0, 0.0, 2.0)]
    bits = [stored, allocated if mixed else stored]
    tags = {"BitsStored": bits, "HighBit": [b - 1 for b in bits], "PixelRepresentation": int(signed)}
    photometric = "MONOCHROME1" if white else "MONOCHROME2"
    write_series(folder, positions, pixels=array, PhotometricInterpretation=photometric, **tags)
    values = raw.astype(object)
    for place, used in enumerate(bits):
        values[place] %= 2**used
        if signed:
            values[place] = np.where(values[place] >= 2 ** (used - 1), values[place] - 2**used, values[place])
        if white:
            values[place] = -1 - values[place] if signed else 2**used - 1 - values[place]
    found = io.read_image(folder).array
    np.testing.assert_array_equal(found, values.astype(np.int64))
    if not white and allocated == 16:
        for place, path in enumerate(sorted(folder.iterdir())):
            theirs = sitk.GetArrayFromImage(sitk.ReadImage(str(path), imageIO="GDCMImageIO"))[0]
            np.testing.assert_array_equal(found[place], theirs)


def test_declared_padding_beyond_the_stored_bits_stays_padding(tmp_path: Path, write_series: WriteSeries) -> None:
    array = samples(12, False)
    array[0, :3] = 63_536
    plain = written(tmp_path, write_series, array, 12, PixelPaddingValue=63_536)
    image = io.read_image(plain)
    np.testing.assert_array_equal(image.array, array)
    assert image.padding == ((63_536, 63_536),)


def test_a_slope_of_zero_is_none(tmp_path: Path, write_series: WriteSeries) -> None:
    array = samples(12, False)
    image = io.read_image(written(tmp_path, write_series, array, 12, RescaleSlope=0, RescaleIntercept=-1024))
    np.testing.assert_array_equal(image.array, array.astype(np.int64) - 1024)
    theirs = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "plain.dcm")))
    np.testing.assert_array_equal(image.array, theirs)


@pytest.mark.parametrize("photometric", ["HSV", "YBR_PARTIAL_420", "YBR_PARTIAL_422"])
def test_colours_that_nobody_turns_into_rgb_are_rejected_by_name(
    tmp_path: Path, write_series: WriteSeries, photometric: str
) -> None:
    tags = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": photometric}
    colours = np.zeros((1, ROWS, COLUMNS, 3), np.uint8)
    path = written(tmp_path, write_series, samples(8, False), 8, PixelData=colours.tobytes(), **tags)
    with pytest.raises(FormatError, match=f"colours by {photometric}.*convert it to RGB first"):
        io.read_image(path)


@pytest.mark.parametrize("written_as", [8, 16])
def test_palettes_of_bytes_that_say_sixteen_bits(tmp_path: Path, write_series: WriteSeries, written_as: int) -> None:
    array = samples(8, False)
    ramp = np.arange(256)
    tags: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour, table in (("Red", ramp), ("Green", ramp[::-1]), ("Blue", 0 * ramp)):
        tags[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        tags[f"{colour}PaletteColorLookupTableData"] = (
            (table * (257 if written_as == 16 else 1)).astype("<u2").tobytes()
        )
    image = io.read_image(written(tmp_path, write_series, array, 8, **tags))
    np.testing.assert_array_equal(image.array, np.stack([array[0], 255 - array[0], 0 * array[0]], axis=-1))


def test_damaged_rle_is_left_to_the_decoder_that_rejects_it(
    tmp_path: Path, write_series: WriteSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Dataset] = []
    monkeypatch.setattr("bedside.io.dicom.codestreams.decode_by_itk", asked.append)
    packed = compressed(written(tmp_path, write_series, samples(16, False, 1), 16), RLELossless)
    made = pydicom.dcmread(packed)
    (frame,) = generate_frames(made.PixelData, number_of_frames=1)
    made.PixelData = encapsulate([frame[: len(frame) // 2]])
    made.save_as(packed)
    with pytest.raises(FormatError, match="samples cannot be decoded"):
        io.read_image(packed)
    assert not asked


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stored=st.integers(9, 15), signed=st.booleans(), white=st.booleans(), seed=st.integers(0, 2**20))
def test_samples_in_the_upper_bits_are_moved_down(
    tmp_path: Path, write_series: WriteSeries, stored: int, signed: bool, white: bool, seed: int
) -> None:
    """Other readers look at the lower bits (findings/dicom-high-bit.sh); arithmetic."""
    low, high = (-(2 ** (stored - 1)), 2 ** (stored - 1)) if signed else (0, 2**stored)
    values = np.random.default_rng(seed).integers(low, high, (2, ROWS, COLUMNS))
    array = (values << (16 - stored)).astype(np.int16 if signed else np.uint16)
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    photometric = "MONOCHROME1" if white else "MONOCHROME2"
    tags = {"BitsStored": stored, "HighBit": 15, "PixelRepresentation": int(signed)}
    write_series(
        folder, [(0.0, 0.0, 0.0), (0.0, 0.0, 2.0)], pixels=array, PhotometricInterpretation=photometric, **tags
    )
    expected = (-1 - values if signed else 2**stored - 1 - values) if white else values
    np.testing.assert_array_equal(io.read_image(folder).array, expected)


def test_a_high_bit_that_the_samples_belie_counts_for_nothing(tmp_path: Path, write_series: WriteSeries) -> None:
    array = samples(12, False)
    path = written(tmp_path, write_series, array, 12, HighBit=15)
    np.testing.assert_array_equal(io.read_image(path).array, array)
    theirs = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    np.testing.assert_array_equal(io.read_image(path).array, theirs)


@pytest.mark.parametrize("frames", [1, 3])
def test_shared_colour_differences_uncompressed(tmp_path: Path, frames: int) -> None:
    """As much ultrasound is; pydicom is the second reader of the colours."""
    rows, columns = 128, 192
    rng = np.random.default_rng(frames)
    brightness = rng.integers(0, 256, (frames, rows, columns), dtype=np.uint8)
    differences = rng.integers(0, 256, (frames, rows, columns // 2, 2), dtype=np.uint8)
    pairs = np.concatenate([brightness.reshape(frames, rows, columns // 2, 2), differences], axis=-1)
    dataset = pydicom.dcmread(pydicom.data.get_testdata_file("CT_small.dcm"))
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept"):
        delattr(dataset, name)
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = frames, rows, columns
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    dataset.PhotometricInterpretation = "YBR_FULL_422"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PixelData = pairs.tobytes()
    dataset["PixelData"].VR = "OB"
    dataset.save_as(tmp_path / "shared.dcm")
    found = np.stack([io.read_image(tmp_path / "shared.dcm", volume=k).array for k in range(frames)])
    each = np.stack([brightness, *(np.repeat(differences[..., k], 2, axis=2) for k in (0, 1))], axis=-1)
    theirs = convert_color_space(each, "YBR_FULL", "RGB")
    assert np.abs(found.astype(int) - theirs).max() <= 1
