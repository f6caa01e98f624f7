"""The engine of the SAM family: which system, which of its networks for which image, and the graphs of each."""

from __future__ import annotations

from dataclasses import replace

from bedside.core.cache import LruCache
from bedside.core.errors import InputError, WeightsError
from bedside.core.image import Image
from bedside.engines.loaded import EngineRequest
from bedside.engines.protocol import Capabilities, Segmenter
from bedside.engines.sam.content import CLIP_SIDE, CROP_SIDE
from bedside.engines.sam.embeddings import KeptEncoder, chosen_store
from bedside.engines.sam.policy import SlicePolicy
from bedside.engines.sam.slices import Network, SliceSegmenter
from bedside.engines.sam.system import System
from bedside.engines.sam.systems import (
    daft,
    lite_medsam,
    mcp_medsam,
    medficientsam,
    medsam,
    rep_medsam,
    swin_lite_medsam,
)
from bedside.runtime.backend import Graph, Precision, thread_limit
from bedside.weights.card import file_sha256
from bedside.weights.store import PARTS, TOWER, WeightsFiles, installed_weights

SYSTEMS: dict[str, System] = {
    system.name: system
    for system in (
        daft.SYSTEM,
        lite_medsam.SYSTEM,
        mcp_medsam.SYSTEM,
        *medficientsam.SYSTEMS,
        medsam.SYSTEM,
        rep_medsam.SYSTEM,
        swin_lite_medsam.SYSTEM,
    )
}
BOXES = Capabilities(
    dimensions=(2, 3),
    prompt_kinds=frozenset({"box"}),
    negative_kinds=frozenset(),
    colour=True,
    starts_from=frozenset({"box"}),
)
"""What all systems take: points and scribbles of some are made from the box and not given by the user."""
LOADED = 2
"""Experts that are kept ready at a time; each is as large as a whole system."""


def load_sam(request: EngineRequest) -> tuple[Segmenter, Graph]:
    """Return a segmenter of the SAM family.

    Raises:
        InputError: Windows are asked for, which these systems do not have.
        WeightsError: A part of the weights is missing.
        BackendError: The runtime cannot load a graph.
    """
    if request.window is not None:
        raise InputError(f"windows of '{request.card.name}'", expected="none: it sees whole slices", got=request.window)
    network = open_network(request, request.files, SYSTEMS[request.card.name])
    policy = request.slices or SlicePolicy()
    if network.system is not daft.SYSTEM:
        return SliceSegmenter(request.card.name, lambda _: network, BOXES, policy), network.encoder
    experts = Experts(request, network)
    return SliceSegmenter(request.card.name, experts, BOXES, policy, experts.installed()), network.encoder


def open_network(request: EngineRequest, files: WeightsFiles, system: System) -> Network:
    """Return the graphs of a system, loaded for one box at a time.

    Raises:
        WeightsError: The files are those of another kind of model.
        BackendError: The runtime cannot load a graph.
    """
    if files.part != PARTS[0]:
        raise WeightsError(
            f"weights of '{system.name}'",
            expected=f"{files.name}.encoder.onnx and {files.name}.decoder.onnx",
            got="one graph",
        )

    def opened(part: str, shape: dict[str, tuple[int, ...]]) -> Graph:
        # The decoder takes little time, and half precision would blur the phases by which it knows where corners are.
        precision: Precision = request.precision if part == PARTS[0] else "fp32"
        return request.backend.load(files.part_named(part), shape=shape, device=request.device, precision=precision)

    prompts: dict[str, tuple[int, ...]] = {"boxes": (1, 4)}
    if system is swin_lite_medsam.SYSTEM:
        prompts |= {"points": (1, 4, 2), "scribble": (1, 1, 256, 256)}
    if system is mcp_medsam.SYSTEM:
        crop, clip = CROP_SIDE, CLIP_SIDE
        prompts |= {"crops": (1, 3, crop, crop), "image_features": (1, 512), "modality": (1,)}
        tower = files.part_named(TOWER)
        if not tower.graph.is_file():
            raise WeightsError(
                f"weights of '{system.name}'",
                expected=f"{tower.graph.name}, the frozen CLIP's image encoder",
                got="none",
            )
        system = replace(system, prompter=mcp_medsam.ContentPrompter(opened(TOWER, {"crops": (1, 3, clip, clip)})))
    encoder = opened(PARTS[0], {"image": (1, 3, system.side, system.side)})
    if (store := chosen_store()) is not None:
        encoder = KeptEncoder(encoder, store, _maker(request, files, encoder))
    return Network(system, encoder, opened(PARTS[1], prompts))


def _maker(request: EngineRequest, files: WeightsFiles, encoder: Graph) -> dict[str, str]:
    """Return what decides an embedding beside the pixels that the encoder sees."""
    return {
        "model": request.card.name,
        "weights": files.card.sha256,
        "graph": file_sha256(files.part_named(PARTS[0]).graph),
        "runtime": f"{request.backend.name} {request.backend.version()}",
        "device": encoder.device,
        "precision": encoder.precision,
        # Sums of several threads are taken in another order.
        "threads": str(thread_limit()),
    }


class Experts:
    """DAFT's networks: the one for an image's modality, or the next best that is installed.

    Args:
        request: What the segmenter is made from.
        general: The network that serves where there is no expert.
    """

    def __init__(self, request: EngineRequest, general: Network) -> None:
        self._request = request
        self._general = general
        self._open: LruCache[str, Network] = LruCache(LOADED)

    def __call__(self, image: Image) -> Network:
        """Return the network for an image.

        Raises:
            WeightsError: The files of an expert are damaged.
            BackendError: The runtime cannot load it.
        """
        for stem in daft.experts(image.modality):
            if stem == daft.GENERAL:
                break
            if (network := self._open.get(stem)) is not None:
                return network
            files = self._find(stem)
            if files is not None:
                return self._load(stem, files)
        return self._general

    def installed(self) -> dict[str, str]:
        """Return SHA-256 of the weights of every expert that is installed, by stem."""
        found = {stem: self._find(stem) for stem in daft.all_experts()}
        return {stem: files.card.sha256 for stem, files in found.items() if files is not None}

    def _find(self, stem: str) -> WeightsFiles | None:
        beside = WeightsFiles.in_folder(stem, self._request.files.graph.parent, PARTS[0])
        return beside if beside.complete else installed_weights(stem)

    def _load(self, stem: str, files: WeightsFiles) -> Network:
        if file_sha256(files.tensors) != files.card.sha256:
            raise WeightsError(f"{files.tensors} is damaged or of another version", fix="install the weights again")
        # The submission ran LiteMedSAM's graphs by its own script too.
        system = replace(daft.SYSTEM, name=stem) if stem == daft.BASELINE else daft.SYSTEM
        network = open_network(self._request, files, system)
        self._open.put(stem, network)
        return network
