"""Users with habits: what they draw, and that they come to an end."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from bedside.core.errors import InputError
from bedside.simulate.agents import (
    HABITS,
    Agent,
    RandomHabit,
    SingleKindHabit,
    SunkCostHabit,
    make_agent,
)
from bedside.simulate.users import KINDS, Kind


def kinds_of(habit: RandomHabit | SunkCostHabit, count: int = 4000, seed: int = 0) -> list[Kind]:
    generator = np.random.default_rng(seed)
    return [habit.next_kind(generator) for _ in range(count)]


def test_the_random_user_takes_any_kind_at_each_step() -> None:
    drawn = kinds_of(RandomHabit())
    for kind in KINDS:
        assert 680 < drawn.count(kind) < 920
    same = sum(a == b for a, b in pairwise(drawn))
    assert 700 < same < 900


@pytest.mark.parametrize("switch", [0.1, 0.3, 1.0])
def test_the_user_with_sunk_costs_switches_now_and_then(switch: float) -> None:
    drawn = kinds_of(SunkCostHabit(switch=switch))
    switched = sum(a != b for a, b in pairwise(drawn)) / (len(drawn) - 1)
    assert switched == pytest.approx(switch, abs=0.03)
    assert set(drawn) == set(KINDS)


def test_the_single_minded_user_stays_with_one_kind() -> None:
    first = set()
    for seed in range(60):
        drawn = kinds_of(SingleKindHabit(), 20, seed)
        assert len(set(drawn)) == 1
        first.add(drawn[0])
    assert first == set(KINDS)


@pytest.mark.parametrize("habit", [RandomHabit, SunkCostHabit, SingleKindHabit])
def test_one_kind_is_enough_and_none_is_too_few(habit: type[RandomHabit] | type[SunkCostHabit]) -> None:
    assert set(kinds_of(habit(("lasso",)), 50)) == {"lasso"}
    for wrong in ((), ("circle",)):
        with pytest.raises(InputError, match="kinds of prompts"):
            habit(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("switch", [-0.1, 1.1])
def test_a_switch_is_a_probability(switch: float) -> None:
    with pytest.raises(InputError, match="switch"):
        SunkCostHabit(switch=switch)


@pytest.mark.parametrize("name", [*HABITS, "any"])
@pytest.mark.parametrize("shape", [(30, 32), (16, 18, 20)])
def test_an_agent_draws_from_the_first_prompt_to_a_perfect_answer(name: str, shape: tuple[int, ...]) -> None:
    truth = np.zeros(shape, bool)
    truth[tuple(slice(4, n - 5) for n in shape)] = True
    prediction = np.roll(truth, 3)
    runs = []
    for _ in range(2):
        agent = make_agent(name, np.random.default_rng(7))
        prompts = [agent.next_prompt(truth)]
        prompts += [agent.next_prompt(truth, prediction) for _ in range(6)]
        runs.append(prompts)
        assert all(p is not None and p.ndim == len(shape) for p in prompts)
        assert prompts[0] is not None
        assert prompts[0].positive
        assert agent.next_prompt(truth, truth) is None
    assert runs[0] == runs[1]
    other = make_agent(name, np.random.default_rng(8))
    assert [other.next_prompt(truth), *(other.next_prompt(truth, prediction) for _ in range(6))] != runs[0]


def test_an_empty_answer_is_corrected_by_a_positive_prompt() -> None:
    truth = np.zeros((10, 10, 10), bool)
    truth[2:6, 2:6, 2:6] = True
    for seed in range(10):
        prompt = make_agent("random", np.random.default_rng(seed)).next_prompt(truth, np.zeros_like(truth))
        assert prompt is not None
        assert prompt.positive


def test_a_model_may_ask_for_certain_starts() -> None:
    truth = np.ones((12, 12, 12), bool)
    for seed in range(10):
        agent = Agent(RandomHabit(("scribble", "lasso")), np.random.default_rng(seed), starts=("point",))
        first, second = agent.next_prompt(truth), agent.next_prompt(truth, np.zeros_like(truth))
        assert first is not None
        assert second is not None
        assert first.kind == "point"
        assert second.kind in ("scribble", "lasso")


def test_unknown_agents_are_refused() -> None:
    with pytest.raises(InputError, match=r"agent: expected one of any, random, single, sunk-cost, got 'lazy'"):
        make_agent("lazy", np.random.default_rng(0))
