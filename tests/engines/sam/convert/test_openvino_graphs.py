"""DAFT's published graphs, made here by OpenVINO in the same structure, are run as parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.core.errors import BedsideError, InputError, WeightsError
from bedside.core.image import Image
from bedside.core.prompts import Box
from bedside.engines.load import load_segmenter
from bedside.engines.sam.convert.importing import import_sam
from bedside.weights import store
from bedside.weights.store import WeightsFiles

openvino = pytest.importorskip("openvino")
from openvino import opset13 as ops  # noqa: E402


def named(model: Any, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Any:
    for port, name in zip((*model.inputs, *model.outputs), (*inputs, *outputs), strict=True):
        port.get_tensor().set_names({name})
    return model


def encoder(factor: float) -> Any:
    """The mean of the image, four pixels a cell, in every channel, times ``factor``."""
    image = ops.parameter([-1, 3, 256, 256], np.float32)
    grey = ops.reduce_mean(image, np.array([1]), keep_dims=True)
    pooled = ops.avg_pool(grey, [4, 4], [0, 0], [0, 0], [4, 4], True)
    many = ops.multiply(pooled, ops.constant(np.full((1, 256, 1, 1), factor, np.float32)))
    return named(openvino.Model([many], [image]), ("image",), ("image_embedding",))


def prompt_encoder() -> Any:
    boxes = ops.parameter([-1, 1, 1, 4], np.float32)
    corners = ops.reshape(boxes, ops.constant(np.array([-1, 2, 2])), special_zero=False)
    sparse = ops.tile(corners, np.array([1, 1, 128]))
    dense = ops.constant(np.zeros((1, 256, 64, 64), np.float32))
    given = ("sparse_embeddings", "dense_embeddings")
    kept = ops.add(dense, ops.constant(np.float32(0)))
    return named(openvino.Model([sparse, kept], [boxes]), ("boxes",), given)


def mask_decoder() -> Any:
    """Above 0 where the embedding is above half of its own factor and left of the box's right side."""
    embedding = ops.parameter([1, 256, 64, 64], np.float32)
    positions = ops.parameter([1, 256, 64, 64], np.float32)
    sparse = ops.parameter([1, 2, 256], np.float32)
    dense = ops.parameter([1, 256, 64, 64], np.float32)
    total = ops.reduce_mean(ops.add(embedding, dense), np.array([1]), keep_dims=True)
    place = ops.reduce_mean(positions, np.array([1]), keep_dims=True)
    ends = [np.array(v) for v in ([0, 1, 0], [1, 2, 1], [1, 1, 1])]
    right = ops.reshape(ops.slice(sparse, *ends), ops.constant(np.array([1, 1, 1, 1])), special_zero=False)
    left_of = ops.minimum(ops.subtract(right, place), ops.subtract(total, ops.constant(np.float32(0.5))))
    large = ops.interpolate(left_of, np.array([256, 256]), "nearest", "sizes", axes=np.array([2, 3]))
    iou = ops.reduce_mean(total, np.array([2, 3]))
    needed = ("image_embeddings", "image_pe", "sparse_prompt_embeddings", "dense_prompt_embeddings")
    model = openvino.Model([large, iou], [embedding, positions, sparse, dense])
    return named(model, needed, ("low_res_masks", "iou_predictions"))


@pytest.fixture
def published(tmp_path: Path) -> Path:
    folder = tmp_path / "openvinomodels"
    folder.mkdir()
    for stem, factor in (("3D", 1.0), ("XRay", 2.0), ("lite_medsam", 0.1)):
        openvino.save_model(encoder(factor), folder / f"{stem}_image_encoder.xml")
        openvino.save_model(mask_decoder(), folder / f"{stem}_mask_decoder.xml")
    openvino.save_model(prompt_encoder(), folder / "lite_medsam_prompt_encoder.xml")
    columns = np.broadcast_to(np.arange(64, dtype=np.float32) * 4, (1, 256, 64, 64))
    np.save(folder / "positional_encoding.npy", columns)
    return folder


def test_published_graphs_answer_as_parts(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine"
    monkeypatch.setenv(store.FOLDER_VARIABLE, str(mine))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    files = import_sam("daft", published, mine)
    assert (files.name, files.graph.name, files.complete) == ("daft", "daft.encoder.xml", True)
    assert files.card.training["variant"] == "general"
    assert files.card.training["checkpoints"].keys() >= {
        "lite_medsam_image_encoder.xml",
        "lite_medsam_mask_decoder.bin",
    }
    assert "LiteMedSAM" in files.card.source
    assert {path.name for path in mine.glob("*.json")} == {"daft.json", "daft-3d.json", "daft-x-ray.json"}
    segmenter = load_segmenter("daft", runtime="openvino", precision="fp32")
    array = np.zeros((256, 256), np.uint8)
    array[64:128, 32:200] = 255
    found = {}
    for modality in ("MR", "X-Ray", None):
        segmenter.set_image(Image.from_array(array, modality=modality))
        mask = np.zeros(array.shape, np.uint8)
        segmenter.predict([Box((32, 64), (101, 128))]).paste(mask)
        found[modality] = mask
    # The expert for volumes sees the rectangle, as far as the box's right side.
    assert found["MR"][70:120, 40:96].all()
    assert not found["MR"][:, 104:].any()
    assert not found["MR"][:60].any()
    assert found["X-Ray"].sum() >= found["MR"].sum()
    # LiteMedSAM's graphs, which stand for the general network, see nothing that is above half.
    assert not found[None].any()


def test_one_expert_can_be_brought_in_alone(published: Path, tmp_path: Path) -> None:
    files = import_sam("daft", published, tmp_path / "mine", variant="3d")
    assert files.name == "daft-3d"
    assert [path.name for path in sorted((tmp_path / "mine").glob("*.xml"))] == [
        "daft-3d.decoder.xml",
        "daft-3d.encoder.xml",
    ]


def spoilt_decoder(folder: Path) -> None:
    openvino.save_model(prompt_encoder(), folder / "3D_mask_decoder.xml")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "positional_encoding.npy").unlink(), "positional_encoding.npy"),
        (lambda f: (f / "lite_medsam_prompt_encoder.xml").unlink(), "prompt_encoder.xml"),
        (lambda f: (f / "3D_image_encoder.bin").unlink(), "3D_image_encoder.xml"),
        (spoilt_decoder, "expected image_embeddings, image_pe"),
    ],
)
def test_what_is_missing_or_another_graph_is_named(spoil: Any, message: str, published: Path, tmp_path: Path) -> None:
    spoil(published)
    with pytest.raises(BedsideError, match=message):
        import_sam("daft", published, tmp_path / "mine", variant="3d")
    assert not list((tmp_path / "mine").glob("daft*"))


def test_graphs_of_other_models_are_rejected(published: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a checkpoint"):
        import_sam("lite-medsam", published, tmp_path / "mine")
    with pytest.raises(WeightsError, match="those of oct"):
        import_sam("daft", published, tmp_path / "mine", variant="oct")


def test_constants_are_mapped_back_where_they_kept_their_names(published: Path) -> None:
    from bedside.engines.sam.convert.checkpoints import network_skeleton
    from bedside.engines.sam.convert.openvino_graphs import mapped_constants
    from bedside.runtime.openvino_parts import PublishedGraphs

    expected: dict[str, Any] = {}
    for part in ("image_encoder", "prompt_encoder", "mask_decoder"):
        prefix, file = f"{part}.", f"E_{part}"
        results = []
        for number, (key, value) in enumerate(network_skeleton("daft").state_dict().items()):
            if key.startswith(prefix) and not key.endswith("num_batches_tracked"):
                expected[key] = np.broadcast_to(np.float16(number % 97), tuple(value.shape))
                constant = ops.constant(np.full(tuple(value.shape), number % 97, np.float16))
                constant.set_friendly_name(key.removeprefix(prefix))
                results.append(ops.result(ops.convert(constant, "f32")))
        openvino.save_model(openvino.Model(results, [], "part"), published / f"{file}.xml", compress_to_fp16=False)
    paths = [published / f"E_{part}.xml" for part in ("image_encoder", "prompt_encoder", "mask_decoder")]
    found = mapped_constants("daft", PublishedGraphs(*paths, published / "positional_encoding.npy"))
    assert found.keys() == expected.keys()
    assert all(v.dtype == np.float32 and np.array_equal(v, expected[k]) for k, v in found.items())
    other = published / "3D_image_encoder.xml"
    with pytest.raises(WeightsError, match="the graphs are run as they are"):
        mapped_constants("daft", PublishedGraphs(other, *paths[1:], published / "positional_encoding.npy"))


def test_other_runtimes_say_that_they_cannot(published: Path, tmp_path: Path) -> None:
    files = import_sam("daft", published, tmp_path / "mine")
    assert isinstance(files, WeightsFiles)
    for runtime in ("onnxruntime", "torch"):
        pytest.importorskip(runtime)
        with pytest.raises(BedsideError, match="daft"):
            load_segmenter("daft", runtime=runtime, weights=files)
