"""Every family of engines looks between two passes of its network whether it is to end."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bedside.engines
from bedside.core.errors import StoppedError, TimeLimitError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.prompts import Box, Point
from bedside.core.stopping import Stop, stoppable
from bedside.engines.autozoom import AutoZoom
from bedside.engines.nninteractive.segmenter import InteractionSegmenter
from bedside.engines.nninteractive.settings import InteractionSettings
from bedside.engines.planes import PlaneSegmenter
from bedside.engines.protocol import Capabilities
from bedside.engines.sam.load import BOXES, SYSTEMS
from bedside.engines.sam.policy import SlicePolicy
from bedside.engines.sam.slices import Network, SliceSegmenter
from bedside.engines.window.policy import WindowPolicy
from bedside.engines.window.segmenter import WindowSegmenter

Engine = tuple[Any, list[Any], Image, Any]
"""A segmenter, its graphs, an image, and a prompt that takes it several passes."""
KINDS = frozenset({"box", "point"})


class Everywhere:
    """A network that finds the object in all that it sees, so that engines look from further and further away."""

    device, precision = "CPU", "fp32"

    def run(self, inputs: Any) -> Any:
        if "image" in inputs:
            return {"embedding": np.zeros(1, np.float32)}
        sides = (256, 256) if "boxes" in inputs else inputs["input"].shape[2:]
        return {"logits": np.full((1, 1, *sides), 5, np.float32)}


def make_window(strategy: Any = None) -> Engine:
    graph = Everywhere()
    can = Capabilities((2,), KINDS, KINDS, True, KINDS)
    engine = WindowSegmenter("fake", graph, 2, 32, can, WindowPolicy(), strategy)
    return engine, [graph], Image.from_array(np.eye(300, dtype=np.uint8)), Point((150, 150))


def make_planes() -> Engine:
    plane, graphs, _, _ = make_window()
    image = Image(np.ones((5, 60, 60), np.uint8), Geometry.create((5, 60, 60), (1, 1, 5)))
    can = Capabilities((2, 3), KINDS, KINDS, True, KINDS)
    return PlaneSegmenter(plane, can), graphs, image, Box((10, 10, 0), (30, 30, 5))


def make_interaction() -> Engine:
    graph = Everywhere()
    can = Capabilities((3,), KINDS, KINDS, False, KINDS)
    engine = InteractionSegmenter("fake", graph, 16, can, InteractionSettings(), AutoZoom())
    array = np.random.default_rng(0).normal(0, 1, (80, 80, 80)).astype(np.float32)
    return engine, [graph], Image.from_array(array), Point((40, 40, 40))


def make_sam() -> Engine:
    encoder, decoder = Everywhere(), Everywhere()
    network = Network(SYSTEMS["lite-medsam"], encoder, decoder)
    engine = SliceSegmenter("fake", lambda _: network, BOXES, SlicePolicy())
    image = Image(np.ones((5, 60, 60), np.uint8), Geometry.create((5, 60, 60), (1, 1, 5)))
    return engine, [encoder, decoder], image, Box((10, 10, 0), (30, 30, 5))


FAMILIES: dict[str, Callable[[], Engine]] = {
    "window": make_window,
    "window by a strategy": lambda: make_window(AutoZoom()),
    "slice by slice": make_planes,
    "nninteractive": make_interaction,
    "sam": make_sam,
}


@pytest.fixture(params=FAMILIES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return FAMILIES[request.param]()


def counted(graphs: list[Any], then: Callable[[int], None]) -> list[int]:
    """Count the passes of networks from now on, and let something happen in each."""
    passes = [0]
    for graph in graphs:
        run = graph.run

        def counting(inputs: Any, run: Any = run) -> Any:
            passes[0] += 1
            then(passes[0])
            return run(inputs)

        graph.run = counting
    return passes


def test_it_ends_after_the_pass_in_which_it_was_asked_to_and_can_go_on(engine: Engine) -> None:
    segmenter, graphs, image, prompt = engine
    segmenter.set_image(image)
    passes = counted(graphs, lambda _: None)
    whole = segmenter.predict([prompt])
    needed = passes[0]
    assert whole.mask.any()
    assert needed == whole.passes > 2
    for last in (1, needed - 1):
        stop = Stop()
        segmenter.set_image(image)
        passes = counted(graphs, lambda number, last=last, stop=stop: stop.ask() if number == last else None)  # type: ignore[misc]
        with pytest.raises(StoppedError), stoppable(stop):
            segmenter.predict([prompt])
        assert passes[0] == last
    assert np.array_equal(segmenter.predict([prompt]).mask, whole.mask)


def test_it_ends_when_its_time_is_over(engine: Engine) -> None:
    segmenter, graphs, image, prompt = engine
    seconds = [0.0]
    passes = counted(graphs, lambda number: seconds.__setitem__(0, 10.0 * number))
    segmenter.set_image(image)
    with pytest.raises(TimeLimitError, match="within 15 s"), stoppable(Stop(15, clock=lambda: seconds[0])):
        segmenter.predict([prompt])
    assert passes[0] == 2


def test_no_engine_runs_a_network_past_the_clock() -> None:
    folder = Path(bedside.engines.__file__).parent
    running = [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        if re.search(r"(graph|_fine|coder|tower|_network\([^)]*\))\.run\(", path.read_text())
    ]
    # The tower sees what the decoder is given next, in a pass that is looked before; the store of embeddings stands in
    # an encoder's place, where the clock runs it.
    assert sorted(running) == ["placed.py", "sam/embeddings.py", "sam/systems/mcp_medsam.py"]
