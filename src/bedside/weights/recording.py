"""Results of an evaluation on the card of the weights that were evaluated."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bedside.core.errors import FormatError, InputError
from bedside.weights.card import WeightsCard

FORMATS = ("bedside-evaluation", "bedside-evaluation-starts")


def record_metrics(card: WeightsCard, results: Path) -> WeightsCard:
    """Return the card with what an evaluation found of its weights, under ``metrics["evaluation"]``.

    For each start: the command and, of the mean over sets and of every set, the means after each round with their 95 %
    intervals. What the card held of these starts by the same protocol is replaced, everything else stays.

    Args:
        card: Card of the weights.
        results: What ``bedside evaluate --json`` wrote, by the clicks protocol or interactive2025.

    Raises:
        FormatError: The file is no such results.
        InputError: These weights, told by their sha256, did not take part.
    """
    try:
        document = json.loads(results.read_text(encoding="utf-8"))
        entries = dict(_entries(document, card))
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        expected = "the JSON of 'bedside evaluate --json'"
        raise FormatError(f"results {results}", expected=expected, got=f"{type(error).__name__}: {error}") from error
    if not entries:
        raise InputError(
            f"results {results}",
            expected=f"answers of '{card.name}' with sha256 {card.sha256[:12]}...",
            got="none",
            fix="evaluate the weights as they are now, and record that",
        )
    kept = {k: v for k, v in dict(card.metrics.get("evaluation", {})).items() if k not in entries}
    return replace(card, metrics={**card.metrics, "evaluation": {**kept, **entries}})


def _entries(document: Mapping[str, Any], card: WeightsCard) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return what to keep of each start, under its name on the card."""
    if document["format"] not in FORMATS:
        raise KeyError("format")
    for part in document["starts"] if document["format"] == FORMATS[1] else [document]:
        protocol = part["protocol"]
        names = [
            c["name"] for c in part["candidates"] if c["details"].get("weights_sha256") == card.sha256 and card.sha256
        ]
        if not names:
            continue
        infos = {s["name"]: s for s in document["sets"]}
        rows = [s for s in [*part["overall"], *part["summaries"]] if s["candidate"] == names[0]]
        name = protocol["start"] if protocol["name"] == "clicks" else f"{protocol['name']} {protocol['start']}"
        yield (
            name,
            {
                "command": portable_command(document["manifest"]["command"]),
                "tolerance": f"{protocol['tolerance']:g} {protocol['unit']}",
                "mean_over_sets": _curves(rows[0]),
                "sets": {r["set_name"]: {"objects": infos[r["set_name"]]["objects"], **_curves(r)} for r in rows[1:]},
            },
        )


def _curves(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return means and intervals of each metric, four digits."""
    found: dict[str, Any] = {}
    for metric, curve in summary["curves"].items():
        found[metric] = [round(v, 4) for v in curve["values"]]
        if curve["intervals"]:
            found[f"{metric}_interval"] = [[round(v, 4) for v in pair] for pair in curve["intervals"]]
        if curve["auc"] is not None:
            found[f"{metric}_auc"] = round(curve["auc"], 4)
    return found


def portable_command(command: str) -> str:
    """Return a command line as it may be published: of absolute paths their last part alone is left."""
    words = shlex.split(command)
    return shlex.join(Path(word).name if Path(word).is_absolute() else word for word in words)
