"""A campaign: one recipe in several variants under an equal budget, judged on held-out training sets.

A variant states its question and what is expected of it before it is run. Every variant gets the same budget, see
``budget``; the steps that fit are kept, so that a campaign that was stopped goes on as it would have.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from bedside.core.errors import FormatError, InputError
from bedside.core.files import write_text_atomically
from bedside.data.store import Store
from bedside.train.config import TrainingConfig, settings_from_dict
from bedside.train.devices import resolve_device
from bedside.train.initial import NONE, initial_path, read_start
from bedside.train.log import VALIDATION, read_last_validation
from bedside.train.packing import open_store
from bedside.train.recipes import load_recipe, read_yaml
from bedside.train.trainer import Trainer
from research.budget import Budget, plan_steps

STORE = "store"
"""Folder of the packed store within that of the campaign."""
RESULT = "result.json"
"""In a variant's folder: what it came to, written last."""


@dataclass(frozen=True)
class Variant:
    """One run of a campaign.

    Attributes:
        name: Name of its folder and its row.
        question: What it is to answer.
        expected: What is expected, written before it is run.
        settings: Settings of the recipe that it replaces, by dotted name.
        initial: Starting weights in place of the campaign's, see ``initial.initial_path``.
    """

    name: str
    question: str = ""
    expected: str = ""
    settings: Any = field(default_factory=dict)
    initial: str | None = None


@dataclass(frozen=True)
class Campaign:
    """Variants of one recipe.

    Attributes:
        recipe: Name of the recipe, or a YAML file.
        settings: Settings of the recipe that all variants replace.
        variants: What is compared; the first is what the others are compared with.
        initial: Starting weights of all variants, see ``initial.initial_path``.
    """

    recipe: str
    variants: tuple[Variant, ...]
    settings: Any = field(default_factory=dict)
    initial: str = NONE

    def __post_init__(self) -> None:
        names = [variant.name for variant in self.variants]
        if not names or len(set(names)) < len(names):
            raise InputError("variants of a campaign", expected="at least one, each with a name of its own", got=names)

    def config(self, variant: Variant) -> TrainingConfig:
        """The settings of a variant, whose steps are yet to be chosen.

        Raises:
            InputError: A setting is unknown or unusable, or the recipe is one of the SAM family.
        """
        recipe = load_recipe(self.recipe)
        if not isinstance(recipe, TrainingConfig):
            raise InputError("recipe of a campaign", expected="one with a single stage", got=self.recipe)
        return recipe.with_overrides({**self.settings, **variant.settings})

    def initial_path(self, variant: Variant) -> Path | None:
        """Where the weights lie that a variant starts from, None for random ones.

        Raises:
            InputError: There are no such weights.
            WeightsError: None are bundled or installed.
        """
        return initial_path(self.initial if variant.initial is None else variant.initial, self.config(variant).model)


@dataclass(frozen=True)
class VariantResult:
    """What a variant came to.

    Attributes:
        name: Name of the variant.
        parameters: Parameters of its network.
        steps: Steps taken.
        samples: Samples seen.
        seconds: Seconds of its steps.
        scores: On the held-out sets, by name.
    """

    name: str
    parameters: int
    steps: int
    samples: int
    seconds: float
    scores: Mapping[str, float]


def campaign_names() -> list[str]:
    """Names of the campaigns that come with the package, sorted."""
    return sorted(path.stem for path in (Path(__file__).parent / "campaigns").glob("*.yaml"))


def load_campaign(name_or_path: str | Path) -> Campaign:
    """A campaign that comes with the package, or a YAML file of the user's own.

    Raises:
        InputError: There is no such campaign, or it has an unknown name or an unusable value.
        FormatError: The file is no YAML.
        DependencyError: PyYAML is not installed.
    """
    path = Path(name_or_path)
    if str(name_or_path) in campaign_names():
        path = Path(__file__).parent / "campaigns" / f"{name_or_path}.yaml"
    elif not path.is_file():
        raise InputError(
            "unknown campaign",
            expected=f"one of {', '.join(campaign_names())}, or a YAML file",
            got=f"'{name_or_path}'",
        )
    campaign: Campaign = settings_from_dict(Campaign, read_yaml(path, f"campaign {path}"))
    return campaign


def run_campaign(
    name: str | Path,
    data: Path,
    out: Path,
    budget: Budget,
    *,
    only: Sequence[str] = (),
    device: str = "auto",
    threads: int | None = None,
    report: Callable[[str], None] = print,
) -> str:
    """Run the variants of a campaign that have no result yet, and return the table of all results.

    Args:
        name: Name of a campaign, or a YAML file.
        data: Folder of datasets (its ``train`` alone where it has one), or a packed store.
        out: Folder of the campaign; each variant has one within.
        budget: Budget of each variant.
        only: Names of the variants to run, all by default.
        device: "auto", "cpu" or "cuda".
        threads: Threads of torch, by default torch's own choice.
        report: Called with each line of the log.

    Raises:
        BedsideError: As ``run.run_training``, or a variant is unknown or was begun with another budget.
        KeyboardInterrupt: Ctrl+C was pressed; the variant under way goes on the next time.
    """
    campaign = load_campaign(name)
    where = resolve_device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    store = open_store(data, out / STORE, report)
    results = run_variants(campaign, store, out, where, budget, only=only, report=report)
    return campaign_table(campaign, results)


def run_variants(
    campaign: Campaign,
    store: Store,
    out: Path,
    device: torch.device,
    budget: Budget,
    *,
    only: Sequence[str] = (),
    report: Callable[[str], None] = print,
) -> list[VariantResult]:
    """Run the variants that have no result yet, one after the other, and return all results.

    Args:
        campaign: What to run.
        store: Training store.
        out: Folder of the campaign; each variant has one within.
        device: Where to train.
        budget: Budget of each variant.
        only: Names of the variants to run, all by default.
        report: Called with each line of the log.

    Raises:
        InputError: A name or a setting is unknown, or a variant was begun with another budget.
        WeightsError: Starting weights cannot be read.
        KeyboardInterrupt: Ctrl+C was pressed; the variant under way goes on the next time.
    """
    names = [variant.name for variant in campaign.variants]
    if unknown := [name for name in only if name not in names]:
        raise InputError("variant of the campaign", expected=f"one of {', '.join(names)}", got=f"'{unknown[0]}'")
    # All are checked before the first is run.
    configs = {variant.name: campaign.config(variant) for variant in campaign.variants}
    starts = {variant.name: campaign.initial_path(variant) for variant in campaign.variants}
    for variant in campaign.variants:
        folder = out / variant.name
        if (only and variant.name not in only) or (folder / RESULT).exists():
            continue
        report(f"{variant.name}: {variant.question}")
        steps = plan_steps(configs[variant.name], store, folder, device, budget, report)
        config = configs[variant.name].with_overrides({"steps": steps})
        result = _run_variant(config, store, folder, device, starts[variant.name], report)
        write_text_atomically(folder / RESULT, json.dumps(asdict(result), indent=2) + "\n")
    return [read_result(out / name) for name in names if (out / name / RESULT).exists()]


def read_result(folder: Path) -> VariantResult:
    """What ``run_campaign`` wrote of a variant.

    Raises:
        FormatError: The file is not one of those.
    """
    try:
        return VariantResult(**json.loads((folder / RESULT).read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise FormatError(str(folder / RESULT), expected="a result of a campaign", got=str(error)) from error


def campaign_table(campaign: Campaign, results: Sequence[VariantResult]) -> str:
    """Results as a Markdown table in the order of the campaign, with each variant's question and expectation."""
    variants = {variant.name: variant for variant in campaign.variants}
    scores = list(results[0].scores) if results else []
    head = ["variant", "question", "expected", "parameters", "samples", "seconds"]
    head += [s.replace("_", " ") for s in scores]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for result in results:
        variant = variants[result.name]
        numbers = [f"{result.parameters:,}", f"{result.samples:,}", f"{result.seconds:.0f}"]
        cells = [result.name, variant.question, variant.expected, *numbers]
        lines.append(f"| {' | '.join([*cells, *[f'{result.scores[s]:.3f}' for s in scores]])} |")
    return "\n".join(lines) + "\n"


def _run_variant(
    config: TrainingConfig,
    store: Store,
    folder: Path,
    device: torch.device,
    start: Path | None,
    report: Callable[[str], None],
) -> VariantResult:
    initial = read_start(start, config).tensors if start else None
    trainer = Trainer(config, store, folder, device, initial=initial, report=report)
    if trainer.resume():
        report(f"going on from step {trainer.progress.step} of {config.steps}")
    trainer.run()
    scores = read_last_validation(folder / VALIDATION)
    scores.pop("step", None)
    return VariantResult(
        name=folder.name,
        parameters=sum(p.numel() for p in trainer.network.parameters()),
        steps=trainer.progress.step,
        samples=trainer.samples,
        seconds=round(trainer.progress.seconds, 1),
        scores=scores,
    )
