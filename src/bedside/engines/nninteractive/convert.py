"""From weights as others publish them to the files that inference needs. Needs torch and onnx."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bedside.core.errors import InputError, WeightsError
from bedside.runtime.export import StoredPrecision, export_weights
from bedside.weights.card import WeightsCard, file_sha256
from bedside.weights.store import WeightsFiles

GRID = 64
"""Side of the input by which a large 3D network is traced; its graph takes any multiple of 32."""
HIGHEST_HALF = 65504.0


def convert_nninteractive(
    source: Path,
    folder: Path,
    *,
    precision: StoredPrecision = "float16",
    widths: tuple[int, ...] | None = None,
    depths: tuple[int, ...] | None = None,
) -> WeightsFiles:
    """Convert a published folder of nnInteractive's weights to safetensors, an ONNX graph and a card.

    Nothing of the files is executed, and ``folder`` gets all three files or none.

    Args:
        source: The published folder; see ``weights/nninteractive.py``.
        folder: Where the files go.
        precision: What the parameters are stored as.
        widths: Channels of the network's stages, where it is not the published one.
        depths: Residual blocks of its stages.

    Raises:
        WeightsError: The folder is not what it says.
        InputError: The precision is unknown.
    """
    import torch

    from bedside.engines.nninteractive.checkpoint import read_published_folder
    from bedside.engines.nninteractive.network import DEPTHS, NAME, WIDTHS, NNInteractive

    if precision not in ("float16", "float32"):
        raise InputError("precision of the weights", expected="float16 or float32", got=f"'{precision}'")
    with torch.device("meta"):
        network = NNInteractive(widths or WIDTHS, depths or DEPTHS)
    published = read_published_folder(source, network)
    if precision == "float16":
        for name, value in published.tensors.items():
            if float(value.abs().max()) > HIGHEST_HALF:
                raise WeightsError(f"tensor {name} is too large for float16", fix="use float32")
    network.load_state_dict({name: value.float() for name, value in published.tensors.items()}, assign=True)
    card = WeightsCard(
        name=NAME,
        version="1",
        sha256="",
        licence=published.licence,
        source=f"{published.checkpoint.name} of {published.plans}, converted",
        training={
            "trainer": published.trainer,
            "configuration": published.configuration,
            "checkpoint_sha256": file_sha256(published.checkpoint),
            "interactions": published.metadata,
            "patch": published.patch,
        },
    )
    with _new_folder(folder):
        return export_weights(network, folder, card, precision=precision, grid=GRID)


@contextmanager
def _new_folder(folder: Path) -> Iterator[None]:
    """Make a folder for a block that fills it; after an error it is gone if it is new."""
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if new:
            with suppress(OSError):
                folder.rmdir()
        raise
