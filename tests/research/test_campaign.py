from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from bedside.core.errors import FormatError, InputError
from bedside.data.store import Store, write_store
from bedside.train.checkpoint import CHECKPOINT, read_checkpoint
from bedside.weights.models import build_model
from research import campaign as module
from research.budget import Budget
from research.campaign import (
    RESULT,
    Campaign,
    Variant,
    campaign_names,
    campaign_table,
    load_campaign,
    read_result,
    run_campaign,
    run_variants,
)

CPU = torch.device("cpu")
ARCHITECTURE = {"widths": [8, 8, 8, 8, 8], "depths": [1, 1, 1, 1, 1]}
TINY = {
    "batch": 2,
    "workers": 0,
    "precision": "fp32",
    "held_out": ["held"],
    "validation_samples": 2,
    "coarse_share": 0.0,
    "sampling.grid": 32,
    "architecture": ARCHITECTURE,
}


def tiny(*variants: Variant) -> Campaign:
    return Campaign("bedside-2d", variants, TINY)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[Budget]:
    """Budgets that were asked for; each is worth three steps."""
    asked: list[Budget] = []

    def plan(config: object, store: object, folder: Path, device: object, budget: Budget, report: object) -> int:
        asked.append(budget)
        return 3

    monkeypatch.setattr(module, "plan_steps", plan)
    return asked


@pytest.mark.parametrize("name", campaign_names())
def test_campaigns_that_come_with_the_package_can_be_run(name: str) -> None:
    campaign = load_campaign(name)
    assert campaign.variants[0].name == "reference"
    for variant in campaign.variants:
        config = campaign.config(variant)
        assert config.held_out
        assert config.coarse_share == 0
        assert variant.question
        assert variant is campaign.variants[0] or (variant.expected and (variant.settings or variant.initial))
        build_model(config.model, config.architecture)


def test_variants_are_run_once_and_tabled(store: Store, tmp_path: Path, steps: list[Budget]) -> None:
    campaign = tiny(Variant("plain", "what?", "this"), Variant("other", "and that?", settings={"ema_decay": 0.0}))
    lines: list[str] = []
    first = run_variants(campaign, store, tmp_path, CPU, Budget(minutes=1.5), only=["other"], report=lines.append)
    assert [result.name for result in first] == ["other"]
    both = run_variants(campaign, store, tmp_path, CPU, Budget(minutes=1.5), report=lines.append)
    assert [result.name for result in both] == ["plain", "other"]
    assert both[1] == first[0]
    assert steps == [Budget(minutes=1.5)] * 2
    assert "plain: what?" in lines
    for result in both:
        assert (result.steps, result.samples) == (3, 6)
        assert 0 <= result.scores["dsc_round_0"] <= 1
        assert result.parameters < 100_000
    table = campaign_table(campaign, both)
    assert table.count("\n") == 4
    assert f"| plain | what? | this | {both[0].parameters:,} | 6 | {both[0].seconds:.0f} | " in table
    assert f"| {both[0].scores['dsc_round_0']:.3f} | {both[0].scores['dsc_round_1']:.3f} | " in table


def test_a_variant_that_was_stopped_goes_on(store: Store, tmp_path: Path, steps: list[Budget]) -> None:
    campaign = tiny(Variant("plain"))
    whole = run_variants(campaign, store, tmp_path / "whole", CPU, Budget(minutes=1), report=lambda _: None)

    def stop(line: str) -> None:
        if line.startswith("step 2/"):
            raise KeyboardInterrupt

    tracked = Campaign("bedside-2d", campaign.variants, {**TINY, "log_every": 1})
    with pytest.raises(KeyboardInterrupt):
        run_variants(tracked, store, tmp_path / "parts", CPU, Budget(minutes=1), report=stop)
    assert not (tmp_path / "parts" / "plain" / RESULT).exists()
    lines: list[str] = []
    parts = run_variants(tracked, store, tmp_path / "parts", CPU, Budget(minutes=1), report=lines.append)
    assert any(line.startswith("going on from step") for line in lines)
    assert parts[0].scores == whole[0].scores


def test_what_cannot_be_run_is_rejected_before_anything_is(store: Store, tmp_path: Path, steps: list[Budget]) -> None:
    with pytest.raises(InputError, match="unknown training setting"):
        run_variants(tiny(Variant("a"), Variant("b", settings={"stepz": 3})), store, tmp_path, CPU, Budget(minutes=1))
    with pytest.raises(InputError, match="expected one of a, got 'c'"):
        run_variants(tiny(Variant("a")), store, tmp_path, CPU, Budget(minutes=1), only=["c"])
    with pytest.raises(InputError, match="each with a name of its own"):
        tiny(Variant("a"), Variant("a"))
    with pytest.raises(InputError, match="one with a single stage"):
        Campaign("lite-medsam", (Variant("a"),)).config(Variant("a"))
    with pytest.raises(InputError, match="unknown campaign"):
        load_campaign("nothing")
    assert list(tmp_path.iterdir()) == []


def test_variants_start_from_the_weights_they_name(store: Store, tmp_path: Path, steps: list[Budget]) -> None:
    model = build_model("bedside-2d", ARCHITECTURE)
    path = tmp_path / "mine.safetensors"
    save_file(model.state_dict(), path)
    still = {**TINY, "learning_rate": 1e-12, "weight_decay": 0.0}
    variants = (Variant("given"), Variant("random", initial="none"))
    campaign = Campaign("bedside-2d", variants, still, initial=str(path))
    run_variants(campaign, store, tmp_path / "out", CPU, Budget(minutes=1), report=lambda _: None)
    given, random = (
        read_checkpoint(tmp_path / "out" / name / CHECKPOINT, CPU)["network"]["stem.weight"]
        for name in ("given", "random")
    )
    expected = model.state_dict()["stem.weight"]
    assert torch.allclose(given, expected, atol=1e-6)
    assert not torch.allclose(random, expected, atol=1e-2)
    missing = Campaign("bedside-2d", (Variant("a"), Variant("b", initial="nowhere.safetensors")), TINY)
    with pytest.raises(InputError, match=r"starting weights.*nowhere"):
        run_variants(missing, store, tmp_path / "never", CPU, Budget(minutes=1))
    assert not (tmp_path / "never").exists()


def test_a_result_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / RESULT).write_text("{}")
    with pytest.raises(FormatError, match="a result of a campaign"):
        read_result(tmp_path)


def test_a_campaign_of_one_s_own(store: Store, tmp_path: Path, steps: list[Budget]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        json.dumps({"recipe": "bedside-2d", "settings": TINY, "variants": [{"name": "a", "question": "does it run?"}]})
    )
    write_store(tmp_path / "store", store.items)
    table = run_campaign(
        path, tmp_path / "store", tmp_path / "out", Budget(minutes=1), device="cpu", threads=1, report=lambda _: None
    )
    assert "| a | does it run? |" in table
