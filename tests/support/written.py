"""Everything that Bedside writes, each as a function that writes it to a folder, in two editions.

``CASES`` takes the formats from the registry, so that a new one is among them without being named. Modules that use
more of ``core.files`` than ``write_text_atomically`` are named in ``MODULES``, which ``test_durability`` holds
against the code.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Case = Callable[[Path, int], object]
"""Writes an edition (0 or 1) to a folder, under the same names."""


def labels(edition: int, axes: int) -> NDArray[np.uint8]:
    """A label map of blobs, which compresses as masks do, with as many voxels as make it larger than a block."""
    shape = (6, 48, 40)[3 - axes :]
    return np.random.default_rng(edition).integers(0, 4, shape).astype(np.uint8)


def small(edition: int, axes: int) -> NDArray[np.uint8]:
    """A label map whose file is smaller than any library's buffer: all of it is written by the last flush."""
    made = np.zeros((3, 4, 5)[3 - axes :], np.uint8)
    made[..., edition] = 1
    return made


def _writer_cases() -> dict[str, Case]:
    from bedside import io
    from bedside.core.geometry import Geometry
    from bedside.core.image import Image
    from bedside.io.registry import WRITERS

    def mask(suffix: str, axes: int, make: Any, folder: Path, edition: int) -> None:
        array = make(edition, axes)
        io.write_mask(folder / f"mask{suffix}", array, Geometry.create(array.shape, (1.0,) * axes))

    def image(suffix: str, axes: int, folder: Path, edition: int) -> None:
        array = labels(edition, axes) * np.uint8(50)
        io.write_image(folder / f"image{suffix}", Image(array, Geometry.create(array.shape, (1.0,) * axes)))

    cases: dict[str, Case] = {}
    for _, writer in WRITERS.items():
        axes = max(writer.dimensions)
        for suffix in writer.suffixes:
            cases[f"mask {suffix}"] = functools.partial(mask, suffix, axes, labels)
            cases[f"small mask {suffix}"] = functools.partial(mask, suffix, axes, small)
            cases[f"image {suffix}"] = functools.partial(image, suffix, axes)
    return cases


def _source(folder: Path) -> Any:
    from bedside import io
    from bedside.io.dicom.source import find_source
    from tests.support.dicom_sources import write_series

    # Beside the folder that is looked at.
    series = folder.parent / "series"
    if not series.exists():
        write_series(series, (5, 7, 9))
    return find_source(io.read_image(series))


def _segments(edition: int) -> list[Any]:
    from bedside.io.dicom.segments import Segment

    mask = np.zeros((5, 7, 9), bool)
    mask[1:4, 2:5, 1 : 4 + edition] = True
    return [Segment.of_mask(1, "organ", mask)]


def _seg(folder: Path, edition: int) -> None:
    from bedside.io.dicom.seg_writing import write_seg

    write_seg(folder / "seg.dcm", _segments(edition), _source(folder))


def _rtstruct(folder: Path, edition: int) -> None:
    from bedside.io.dicom.rtstruct_writing import write_rtstruct

    write_rtstruct(folder / "rtstruct.dcm", _segments(edition), _source(folder))


def _challenge_case(folder: Path, edition: int) -> None:
    from bedside.challenge.writing import write_case
    from bedside.core.geometry import Geometry
    from bedside.core.image import Image
    from bedside.io.challenge import ChallengeCase

    array = labels(edition, 3)
    case = ChallengeCase("case", Image(array, Geometry.create(array.shape, (1.0, 1.0, 1.0))), ground_truth=array)
    write_case(folder / "case.npz", case)


def _overlay(folder: Path, edition: int) -> None:
    from PIL import Image as Picture

    from bedside.cli.segment import _save_picture

    _save_picture(Picture.fromarray(labels(edition, 2) * np.uint8(60)), folder / "overlay.png")


def _store(folder: Path, edition: int) -> None:
    from bedside.data.store import Item, ItemInfo, write_store

    items = [
        Item(
            ItemInfo(f"set/{number}", "set", "image", "CT", None, ("label",)),
            labels(edition + number, 2),
            labels(edition + number, 2)[None].astype(np.uint16),
            np.zeros((1, 7), np.int32),
        )
        for number in range(3)
    ]
    write_store(folder, items, part_bytes=1)


def _text(folder: Path, edition: int) -> None:
    from bedside.core.files import write_text_atomically

    write_text_atomically(folder / "report.json", f'{{"edition": {edition}}}\n' * 2000)


def _log(folder: Path, edition: int) -> None:
    from bedside.train.log import _append

    # Rows are added, so that an edition is one row more.
    _append(folder / "losses.csv", {"step": edition, "loss": "0.25" * 800})


def _checkpoint(folder: Path, edition: int) -> None:
    import torch

    from bedside.train.checkpoint import write_checkpoint

    write_checkpoint(folder / "checkpoint.pt", {"weights": torch.full((60, 70), float(edition))})


def _features(folder: Path, edition: int) -> None:
    import torch

    from bedside.engines.sam.training.features import FeatureBank

    FeatureBank({"a": 0}, np.full((1, 512), edition, np.float16), torch.zeros(11, 512)).save(folder / "features.npz")


def _weights(folder: Path, edition: int) -> None:
    """A set of weights as ``export_weights`` makes it, of a graph that takes no seconds to trace."""
    import onnx
    from safetensors.numpy import save_file

    from bedside.core.files import scratch_folder
    from bedside.runtime.export import put_set
    from bedside.weights.card import WeightsCard, file_sha256
    from bedside.weights.store import WeightsFiles

    with scratch_folder(folder) as scratch:
        made = WeightsFiles.in_folder("tiny", scratch)
        save_file({"w": np.full((60, 70), edition, np.float32)}, made.tensors)
        graph = onnx.helper.make_graph([], "tiny", [], [], doc_string=f"{edition}" * 9000)
        onnx.save(onnx.helper.make_model(graph), made.graph)
        card = WeightsCard("tiny", file_sha256(made.tensors), "", "Apache-2.0", "a test", metrics={"edition": edition})
        card.save(made.card_path)
        put_set(made, WeightsFiles.in_folder("tiny", folder))


def _openvino_graph(folder: Path, edition: int) -> None:
    import openvino
    import openvino.opset13 as ops

    from bedside.core.files import move_set_into_place, scratch_folder
    from bedside.runtime.openvino_parts import _serialise

    given = ops.parameter([60, 70], np.float32)
    sum_ = ops.add(given, ops.constant(np.full((60, 70), edition, np.float32)))
    with scratch_folder(folder) as scratch:
        _serialise(openvino.Model([sum_], [given], "tiny"), scratch / "tiny.xml", scratch / "tiny.bin")
        move_set_into_place([(scratch / name, folder / name) for name in ("tiny.xml", "tiny.bin")])


def _uid_map(folder: Path, edition: int) -> None:
    from bedside.io.dicom.uid_map import UidMap

    uids = UidMap(bytes(32))
    for number in range(300 + edition):
        uids.uid(f"1.2.{number}")
    uids.save(folder / "map.json")


def _stripped(folder: Path, edition: int) -> None:
    from bedside.io.dicom.phi import strip_file
    from bedside.io.dicom.uid_map import UidMap

    _source(folder)
    original = min((folder.parent / "series").rglob("*.dcm"))
    strip_file(original, folder / "stripped.dcm", UidMap(bytes([edition]) * 32))


def _instance(folder: Path, edition: int) -> None:
    from bedside.archive.places import SeriesFolder

    SeriesFolder(folder, "1.2.3", "CT", "1").keep("1.2.3.4", bytes([edition]) * 9000)


CASES: dict[str, Case] = {
    **_writer_cases(),
    "DICOM SEG": _seg,
    "RTSTRUCT": _rtstruct,
    "case of a challenge": _challenge_case,
    "overlay": _overlay,
    "store": _store,
    "text": _text,
    "log": _log,
    "checkpoint": _checkpoint,
    "features": _features,
    "weights": _weights,
    "OpenVINO graph": _openvino_graph,
    "map of UIDs": _uid_map,
    "stripped DICOM": _stripped,
    "instance of a PACS": _instance,
}

NEEDS = {
    "DICOM SEG": ("highdicom",),
    "checkpoint": ("torch",),
    "features": ("torch",),
    "weights": ("onnx", "safetensors"),
    "OpenVINO graph": ("openvino",),
    "stripped DICOM": ("dicomanonymizer",),
}
"""Packages without which a case cannot be tried."""

MODULES = {
    "archive.places": "instance of a PACS",
    "challenge.writing": "case of a challenge",
    "cli.segment": "overlay",
    "data.sharding": "store",
    "data.store": "store",
    "data.streaming": "store",
    "engines.sam.convert.export": "weights",
    "engines.sam.training.features": "features",
    "engines.sam.training.teacher": "features",
    "io.dicom.phi": "stripped DICOM",
    "io.dicom.rtstruct_writing": "RTSTRUCT",
    "io.dicom.seg_writing": "DICOM SEG",
    "io.dicom.uid_map": "map of UIDs",
    "io.writing": "mask .nii",
    "runtime.export": "weights",
    "runtime.openvino_parts": "OpenVINO graph",
    "runtime.quantise": "OpenVINO graph",
    "train.checkpoint": "checkpoint",
    "train.log": "log",
    "weights.pull": "text",
    "worklist.export": "store",
}
"""The case that stands for what a module writes; the last only moves a file into place once its checksum is right."""
