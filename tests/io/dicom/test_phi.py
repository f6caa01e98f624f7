"""Taking out what tells of the patient: at every depth, in every kind of object, with references that still hold."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from bedside import io
from bedside.core.errors import FormatError, InputError
from bedside.io.dicom.phi import strip_dataset, strip_file
from bedside.io.dicom.segments import Segment, SegmentSet
from bedside.io.dicom.source import find_source
from bedside.io.dicom.uid_map import STANDARD, UidMap
from bedside.io.segmentations import read_segments, write_segments
from tests.support.dicom_sources import PLANTED, base, told, write_enhanced, write_picture, write_series

pytest.importorskip("dicomanonymizer", reason="the extra 'pacs' is not installed")


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    (path,) = write_series(tmp_path, (1, 2, 2))
    assert len(told(path.read_bytes())) == len(PLANTED) + 2


def everywhere(dataset: Dataset) -> Dataset:
    """The patient's values in private elements, nested items, texts, the preamble and the file's header, too."""
    dataset.private_block(0x0009, "MAKER", create=True).add_new(1, "LO", PLANTED["PatientName"])
    inner, deep = Dataset(), Dataset()
    deep.PatientName, deep.PatientID, deep.ContentDate = PLANTED["PatientName"], PLANTED["PatientID"], "20240229"
    deep.TextValue = f"seen by {PLANTED['ReferringPhysicianName']} on {PLANTED['StudyDate']}"
    inner.ContentSequence, inner.LongCodeValue = [deep], f"x {PLANTED['PatientID']} x"
    dataset.ContentSequence = [inner]
    dataset.SeriesDescription = f"Thorax of {PLANTED['PatientName'].split('^')[0].lower()}"
    dataset.ConvolutionKernel = PLANTED["PatientID"]
    dataset.preamble = PLANTED["PatientName"].encode().ljust(128, b"\0")
    dataset.file_meta.SourceApplicationEntityTitle = "QUIXOTE"
    return dataset


SOURCES = {
    "classic": lambda folder: write_series(folder, (2, 3, 4))[0],
    "enhanced": lambda folder: write_enhanced(folder / "x.dcm", (2, 3, 4)),
    "picture": lambda folder: write_picture(folder / "x.dcm", "US"),
    "loop": lambda folder: write_picture(folder / "x.dcm", "US loop", (3, 4, 5)),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_nothing_of_the_patient_is_left(tmp_path: Path, kind: str) -> None:
    source = SOURCES[kind](tmp_path)
    everywhere(planted := pydicom.dcmread(source)).save_as(source)
    before = planted.PixelData
    strip_file(source, tmp_path / "out.dcm", UidMap())
    assert told(source.read_bytes())
    assert told((tmp_path / "out.dcm").read_bytes()) == []
    made = pydicom.dcmread(tmp_path / "out.dcm")
    assert made.PixelData == before
    assert (made.PatientIdentityRemoved, made.DeidentificationMethodCodeSequence[0].CodeValue) == ("YES", "113100")
    assert made.PatientName == made.PatientID != PLANTED["PatientID"]


MARK = {"UI": "1.2.3.987654321", "DA": "20240229", "DT": "20240229101112", "TM": "101112.987654", "AS": "098Y"}
MARK |= {"IS": "987654321", "DS": "987654321"} | dict.fromkeys(("LO", "LT", "SH", "ST", "UT", "UC", "PN"), "987654321")
MARK |= {"CS": "M987654321", "AE": "A987654321", "UR": "http://987654321"}


def attributes() -> list[tuple[int, str]]:
    """Every attribute of PS3.15's table that holds text, with its kind."""
    from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as table
    from pydicom.datadict import dictionary_VR

    found = []
    for tag in table.ALL_TAGS:
        with contextlib.suppress(KeyError):
            if len(tag) == 2 and tag[0] != 2 and (kind := dictionary_VR(tag).split(" or ")[0]) in MARK:
                found.append((tag[0] << 16 | tag[1], kind))
    return found


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_every_attribute_of_the_profile_is_treated_at_every_depth(depth: int) -> None:
    assert len(attributes()) > 300
    whole = base("CT", np.zeros((2, 2)))
    inner = whole
    for keyword in ("DerivationImageSequence", "SourceImageSequence")[:depth]:
        inner.__setattr__(keyword, [Dataset()])
        inner = inner[keyword].value[0]
    for tag, kind in attributes():
        inner.add_new(tag, kind, MARK[kind])
    strip_dataset(whole, UidMap())
    left = [(e.keyword, e.value) for e in whole.iterall() if e.VR in MARK and MARK[e.VR] in str(e.value)]
    assert left == []


@pytest.mark.parametrize("keyword", ["PatientName", "InstanceCreationDate", "InstitutionName"])
def test_an_item_of_a_sequence_that_the_profile_does_not_name_is_no_hiding_place(keyword: str) -> None:
    """The package whose table this is leaves such items as they are."""
    whole, item = base("CT", np.zeros((2, 2))), Dataset()
    setattr(item, keyword, "20240229")
    whole.PerFrameFunctionalGroupsSequence = [item]
    strip_dataset(whole, UidMap())
    assert "20240229" not in str(whole)


def test_objects_and_images_still_belong_together(tmp_path: Path) -> None:
    pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
    from bedside.io.dicom.rtstruct_writing import write_rtstruct
    from bedside.io.dicom.seg_writing import write_seg

    shape = (4, 9, 11)
    files = write_series(tmp_path / "ct", shape, spacing=(0.7, 0.9, 2.5), origin=(3, -4, 5))
    mask = np.random.default_rng(0).random(shape) < 0.3
    source = find_source(io.read_image(tmp_path / "ct"))
    segment = Segment.of_mask(1, "liver", mask)
    write_seg(tmp_path / "seg.dcm", [segment], source)
    write_rtstruct(tmp_path / "rt.dcm", [segment], source)
    uids = UidMap()
    for file in files:
        strip_file(file, tmp_path / "out" / file.name, uids)
    image = io.read_image(tmp_path / "out")
    for name in ("seg", "rt"):
        strip_file(tmp_path / f"{name}.dcm", tmp_path / f"{name}-out.dcm", uids)
        assert told((tmp_path / f"{name}-out.dcm").read_bytes()) == []
        found = read_segments(tmp_path / f"{name}-out.dcm", image)
        np.testing.assert_array_equal(found.segments[0].mask(shape), mask)
        header = pydicom.dcmread(tmp_path / f"{name}-out.dcm")
        assert header.StudyInstanceUID == image.metadata["study_uid"]
    assert image.geometry == io.read_image(tmp_path / "ct").geometry


def test_pixels_that_may_show_a_name_are_told_of(tmp_path: Path) -> None:
    picture = strip_dataset(pydicom.dcmread(write_picture(tmp_path / "us.dcm", "US")), UidMap())
    assert ["pixels" in note for note in picture] == [True]
    clean = base("US", np.zeros((2, 2)))
    clean.BurnedInAnnotation = "NO"
    assert strip_dataset(clean, UidMap()) == ()


def test_the_original_is_never_overwritten(tmp_path: Path) -> None:
    (path,) = write_series(tmp_path, (1, 2, 2))
    before = path.read_bytes()
    with pytest.raises(InputError, match="another file than the original"):
        strip_file(path, path, UidMap())
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", ["DS", "IS", "UN", "CS", "UI"])
@pytest.mark.parametrize("tag", [0x00181050, 0x0018FFF0])
def test_a_name_where_something_else_should_stand_goes_too(tmp_path: Path, kind: str, tag: int) -> None:
    (path,) = write_series(tmp_path, (1, 2, 2), spacing=(0.25, 0.5, 2))
    header = pydicom.dcmread(path)
    header[tag] = RawDataElement(BaseTag(tag), kind, 8, b"Quixote ", 0, False, True)
    header.save_as(path)
    strip_file(path, tmp_path / "out.dcm", UidMap())
    assert told((tmp_path / "out.dcm").read_bytes()) == []
    assert pydicom.dcmread(tmp_path / "out.dcm").PixelSpacing == [0.5, 0.25]


def test_numbers_of_a_patient_with_a_plain_number_stay(tmp_path: Path) -> None:
    (path,) = write_series(tmp_path, (1, 2, 2), spacing=(0.25, 0.5, 100))
    header = pydicom.dcmread(path)
    header.PatientID = "100"
    strip_dataset(header, UidMap())
    assert header.SliceThickness == 100


def test_what_cannot_be_understood_is_not_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    header = base("CT", np.zeros((2, 2)))

    def fail(*_: object) -> None:
        raise NotImplementedError(PLANTED["PatientName"])

    monkeypatch.setattr(header, "iterall", fail, raising=False)
    with pytest.raises(FormatError, match="cannot be taken out") as caught:
        strip_dataset(header, UidMap())
    assert told(str(caught.value)) == []


class TestTheMap:
    uid: Any = st.from_regex(r"1\.[1-9][0-9]{0,8}(\.[1-9][0-9]{0,8}){1,4}", fullmatch=True)

    @given(st.lists(uid, unique=True, max_size=20))
    def test_new_uids_are_valid_and_each_has_its_own(self, old: list[str]) -> None:
        uids = UidMap()
        new = [uids.uid(o) for o in old]
        assert len(set(new)) == len(old)
        assert all(pydicom.uid.UID(n).is_valid and n not in old for n in new)
        assert new == [uids.uid(o) for o in old]

    def test_uids_of_the_standard_stay(self) -> None:
        assert UidMap().uid(STANDARD + "1.2") == STANDARD + "1.2"

    def test_another_map_gives_other_uids(self) -> None:
        assert UidMap().uid("1.2.3") != UidMap().uid("1.2.3")

    def test_it_is_kept_in_a_private_file(self, tmp_path: Path) -> None:
        uids, path = UidMap(), tmp_path / "map.json"
        first, patient = uids.uid("1.2.3"), uids.patient("HZ")
        uids.save(path)
        assert path.stat().st_mode & 0o777 == 0o600
        again = UidMap.load(path)
        assert (again.uid("1.2.3"), again.patient("HZ")) == (first, patient)
        # Also for what comes later: the key is kept.
        assert again.uid("1.2.4") == uids.uid("1.2.4")
        path.chmod(0o644)
        with pytest.raises(InputError, match="its owner alone"):
            UidMap.load(path)

    def test_another_file_is_rejected(self, tmp_path: Path) -> None:
        path = tmp_path / "map.json"
        path.write_text("[]")
        path.chmod(0o600)
        with pytest.raises(FormatError, match="a map of UIDs"):
            UidMap.load(path)


@pytest.mark.parametrize("kind", ["image", "binary", "labelmap", "rtstruct"])
def test_the_validator_finds_nothing_that_it_did_not_find_before(tmp_path: Path, kind: str) -> None:
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy is not installed (Debian: dicom3tools)")
    pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
    shape = (4, 9, 11)
    path = write_series(tmp_path / "ct", shape, spacing=(0.7, 0.9, 2.5))[0]
    if kind != "image":
        image = io.read_image(tmp_path / "ct")
        found = SegmentSet((Segment.of_mask(1, "liver", np.indices(shape).sum(0) % 3 == 0),), image.geometry)
        path = tmp_path / "object.dcm"
        form: Any = "rtstruct" if kind == "rtstruct" else "dicom-seg"
        seg_type: Any = "labelmap" if kind == "labelmap" else "binary"
        write_segments(path, found, image, form=form, seg_type=seg_type)
    strip_file(path, tmp_path / "out.dcm", UidMap())
    assert complaints(program, tmp_path / "out.dcm") <= complaints(program, path)


def complaints(program: str, path: Path) -> set[str]:
    """Errors of dciodvfy, without the values in them."""
    done = subprocess.run([program, path], capture_output=True, text=True, errors="replace", check=False)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
    return {re.sub(r"= <.*?>|\d[\d.]{5,}", "", line) for line in lines}
