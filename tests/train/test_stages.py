"""The stages of a run: every step once, every sample once, whatever step it is resumed at."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.core.errors import InputError
from bedside.train.config import TrainingConfig
from bedside.train.sampling import SamplingConfig
from bedside.train.stages import LATE, count_samples, plan_stages


@given(steps=st.integers(1, 400), share=st.floats(0, 0.99), batch=st.integers(1, 8), late=st.floats(0, 1))
def test_steps_and_samples_follow_on_without_gap_or_repeat(steps: int, share: float, batch: int, late: float) -> None:
    config = TrainingConfig(
        "bedside-2d", steps=steps, batch=batch, coarse_share=share, **late_share(late * (1 - share))
    )
    stages = plan_stages(config)
    assert sum(s.last_step - s.first_step for s in stages if s.name == LATE) <= round(steps * config.late_share)
    seen = [n for stage in stages for n in stage.samples_from(0)]
    assert seen == list(range(len(seen)))
    assert [stage.first_step for stage in stages] == [0, *[stage.last_step for stage in stages[:-1]]]
    assert stages[-1].last_step == steps


def late_share(share: float) -> dict[str, Any]:
    """Settings of a run whose last steps differ from the others."""
    return {"late_share": share, "late": {"sampling.jitter": 0.1}} if share else {}


def test_the_last_steps_have_settings_of_their_own() -> None:
    late = {"sampling.superpixel_share": 0.0, "round_probabilities": [0.0, 1.0]}
    config = TrainingConfig("bedside-2d", steps=8, coarse_share=0.25, late_share=0.25, late=late)
    assert [(s.name, s.grid, s.first_step, s.last_step) for s in plan_stages(config)] == [
        ("", 64, 0, 2),
        ("", 128, 2, 6),
        (LATE, 128, 6, 8),
    ]
    changed = config.late_config()
    assert (changed.sampling.superpixel_share, changed.round_probabilities) == (0.0, (0.0, 1.0))
    assert changed.sampling.wide_share == config.sampling.wide_share
    assert TrainingConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("share", "late"),
    [
        (0.0, {"sampling.jitter": 0.1}),
        (0.2, None),
        (0.2, {"sampling.grid": 64}),
        (0.2, {"learning_rate": 0.1}),
        (0.2, {"sampling.nothing": 1}),
        (0.2, {"sampling.jitter": "much"}),
        (0.9, {"sampling.jitter": 0.1}),
    ],
)
def test_late_settings_that_cannot_be_are_rejected(share: float, late: dict[str, Any] | None) -> None:
    with pytest.raises(InputError, match=r"late|sampling"):
        TrainingConfig("bedside-2d", coarse_share=0.25, late_share=share, late=late)


@given(steps=st.integers(4, 200), share=st.floats(0.1, 0.9), data=st.data())
def test_resuming_goes_on_with_the_next_sample(steps: int, share: float, data: st.DataObject) -> None:
    stages = plan_stages(TrainingConfig("bedside-2d", steps=steps, batch=3, coarse_share=share))
    whole = [n for stage in stages for n in stage.samples_from(0)]
    step = data.draw(st.integers(0, steps - 1))
    rest = [n for stage in stages if step < stage.last_step for n in stage.samples_from(step)]
    assert rest == whole[len(whole) - len(rest) :]
    assert len(rest) == sum(
        stage.batch * (stage.last_step - max(step, stage.first_step)) for stage in stages if step < stage.last_step
    )


@given(steps=st.integers(1, 60), every=st.integers(0, 5), share=st.floats(0, 0.9), data=st.data())
def test_batches_are_those_of_the_steps_and_fine_ones_a_quarter(
    steps: int, every: int, share: float, data: st.DataObject
) -> None:
    config = TrainingConfig("bedside-2d", steps=steps, batch=8, coarse_share=share, fine_every=every)
    fine, seen = 0, 0
    for stage in plan_stages(config):
        batches = list(stage.batches_from(0))
        assert len(batches) == stage.last_step - stage.first_step
        for step, batch in enumerate(batches, start=stage.first_step):
            assert {stage.step_of(n) for n in batch} == {step}
            assert len(batch) == stage.batch_of(step) == (2 if stage.is_fine(step) else stage.batch)
            fine += stage.is_fine(step)
            seen += len(batch)
        start = data.draw(st.integers(stage.first_step, stage.last_step - 1))
        assert list(stage.batches_from(start)) == batches[start - stage.first_step :]
        if stage.grid == 64:
            assert not stage.fine_every
        else:
            assert fine == (len(batches) // every if every else 0)
    assert count_samples(plan_stages(config), steps) == seen


def test_a_coarse_stage_has_half_the_grid_and_twice_the_batch() -> None:
    coarse, fine = plan_stages(TrainingConfig("bedside-2d", steps=10, batch=4, coarse_share=0.3))
    assert (coarse.grid, coarse.batch, coarse.last_step) == (64, 8, 3)
    assert (fine.grid, fine.batch, fine.last_step) == (128, 4, 10)


def test_a_grid_that_cannot_be_halved_is_rejected_at_once() -> None:
    with pytest.raises(InputError, match=r"sampling\.grid"):
        TrainingConfig("bedside-2d", coarse_share=0.5, sampling=SamplingConfig(grid=32))


@given(steps=st.integers(1, 100), share=st.floats(0, 0.9), data=st.data())
def test_samples_are_counted_over_the_stages(steps: int, share: float, data: st.DataObject) -> None:
    config = TrainingConfig("bedside-2d", steps=steps, batch=5, coarse_share=share)
    done = data.draw(st.integers(0, steps))
    rest = sum(len(s.samples_from(done)) for s in plan_stages(config) if done < s.last_step)
    assert count_samples(plan_stages(config), done) + rest == count_samples(plan_stages(config), steps)
