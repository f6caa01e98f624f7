"""Quantising a model, with its accuracy before and after on objects that did not take part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bedside.core.errors import InputError
from bedside.core.files import scratch_folder
from bedside.data.catalogue import DataSet
from bedside.engines import load_segmenter
from bedside.engines.load import load_engine
from bedside.engines.loaded import EngineRequest, LoadedSegmenter
from bedside.evaluate.cases import ObjectSelection
from bedside.evaluate.clicks_protocol import ClicksProtocol
from bedside.evaluate.precisions import pass_milliseconds, possible_precisions
from bedside.evaluate.runner import Advance, Entry, evaluate_sets
from bedside.runtime.backend import choose_backend
from bedside.runtime.openvino import processor_name
from bedside.runtime.quantise import Recorder, int8_in_place, publish_int8, quantise_graph
from bedside.weights.models import model_card
from bedside.weights.store import WeightsFiles, find_weights

LARGEST_LOSS = 0.003
"""DSC, mean over sets, beyond which a quantised model is not written unless that is asked for."""
BEFORE, AFTER = "before", "after"


@dataclass(frozen=True)
class SetChange:
    """DSC on the held-out objects of one set, or the mean over sets where ``set_name`` is "".

    Attributes:
        set_name: Set name of the dataset.
        before: DSC of the exported graph in float32.
        after: DSC of the quantised one.
    """

    set_name: str
    before: float
    after: float

    @property
    def loss(self) -> float:
        """What was lost; negative where something was won."""
        return self.before - self.after


@dataclass(frozen=True)
class QuantisedModel:
    """The outcome.

    Attributes:
        path: The int8 graph; None where too much was lost and it was not written.
        changes: One a set, last the mean over sets.
        samples: Inputs by which it was calibrated.
    """

    path: Path | None
    changes: tuple[SetChange, ...]
    samples: int


def quantise_model(
    name: str,
    sets: Sequence[DataSet],
    *,
    samples: int = 128,
    objects: int = 5,
    force: bool = False,
    advance: Advance | None = None,
) -> QuantisedModel:
    """Quantise the network of a model (of the family "sam" its image encoder) and write it if it is as good.

    Every second case of a set is for calibration, by the inputs that its boxes and clicks bring about; on the others
    the DSC is compared.

    Args:
        name: Model in the registry, whose weights are installed.
        sets: Labelled images, two cases a set at least.
        samples: Most inputs used for calibration.
        objects: Most objects of a case.
        force: Write it whatever is lost.
        advance: Called after each case.

    Raises:
        InputError: A set has fewer than two cases.
        WeightsError: The model has no weights.
        DependencyError: nncf is not installed.
    """
    small = [s.name for s in sets if len(s.cases) < 2]
    if small or not sets:
        raise InputError("data to quantise by", expected="sets of two cases at least", got=", ".join(small) or "none")
    files = find_weights(name)
    protocol = ClicksProtocol(clicks=1, metrics=("dsc",))
    selection = ObjectSelection(limit=objects, volumes="whole" if model_card(name).dimensions == 3 else "slices")
    recorder = Recorder(choose_backend("openvino"), files.part)
    evaluate_sets(
        _every_second(sets, 0), [Entry(BEFORE, "model", _recording(files, recorder))], protocol, selection, advance
    )
    chosen = recorder.kept[:: max(1, len(recorder.kept) // samples)][:samples]
    with scratch_folder(files.int8_graph.parent) as folder:
        made = quantise_graph(files, chosen, folder, attention=files.part != "")
        with int8_in_place(made, files) as trial:
            entries = [
                Entry(BEFORE, "model", load_segmenter(name, runtime="openvino", precision="fp32", weights=files)),
                Entry(AFTER, "model", load_segmenter(name, runtime="openvino", precision="int8", weights=trial)),
            ]
            evaluation = evaluate_sets(_every_second(sets, 1), entries, protocol, selection, advance)
            # Measured here and not assumed, so that loading can choose the fastest on this processor.
            times = {
                p: round(pass_milliseconds(trial if p == "int8" else files, chosen[0], p), 3)
                for p in possible_precisions(trial)
            }
        changes = _changes([*evaluation.summaries, *evaluation.overall])
        if changes[-1].loss > LARGEST_LOSS and not force:
            return QuantisedModel(None, changes, len(chosen))
        report = {
            "samples": len(chosen),
            "processor": processor_name(),
            "milliseconds": times,
            "dsc": [{"set": c.set_name or "mean over sets", "before": c.before, "after": c.after} for c in changes],
        }
        return QuantisedModel(publish_int8(made, files, report), changes, len(chosen))


def _every_second(sets: Sequence[DataSet], first: int) -> list[DataSet]:
    return [replace(s, cases=s.cases[first::2]) for s in sets]


def _recording(files: WeightsFiles, recorder: Recorder) -> LoadedSegmenter:
    card = model_card(files.card.name)
    request = EngineRequest(card, files, recorder, "auto", "fp32")
    segmenter, graph = load_engine(request)
    return LoadedSegmenter(segmenter, graph, request)


def _changes(summaries: Sequence[Any]) -> tuple[SetChange, ...]:
    found: dict[str, dict[str, float]] = {}
    for summary in summaries:
        # The last round is what a user ends up with.
        found.setdefault(summary.set_name or "", {})[summary.candidate] = float(summary.curves["dsc"].values[-1])
    mean = found.pop("")
    ordered = [*sorted(found.items()), ("", mean)]
    return tuple(SetChange(name, values[BEFORE], values[AFTER]) for name, values in ordered)
