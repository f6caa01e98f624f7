from __future__ import annotations

import numpy as np
import pytest
import torch

from bedside.train.hashing import Draws, normal_cells, uniform_cells


def test_a_sample_depends_on_seed_and_number_alone() -> None:
    many, one = Draws(3, np.arange(100)), Draws(3, np.array([41]))
    for _ in range(3):
        np.testing.assert_array_equal(many.uniforms(5)[41:42], one.uniforms(5))
    assert not np.array_equal(Draws(4, np.arange(9)).uniform(), Draws(3, np.arange(9)).uniform())
    assert not np.array_equal(Draws(3, np.arange(9), 1).uniform(), Draws(3, np.arange(9)).uniform())


def test_draws_are_spread_evenly_and_independent() -> None:
    draws = Draws(0, np.arange(20_000))
    values = draws.uniforms(4)
    assert values.min() >= 0
    assert values.max() < 1
    np.testing.assert_allclose(np.quantile(values, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.01)
    assert np.abs(np.corrcoef(values.T) - np.eye(4)).max() < 0.03
    assert abs(np.corrcoef(values[1:, 0], values[:-1, 0])[0, 1]) < 0.03
    counts = np.bincount(draws.below(7), minlength=7)
    assert counts.min() > 0.9 * 20_000 / 7
    normals = draws.normals(3)
    assert abs(normals.mean()) < 0.02
    assert normals.std() == pytest.approx(1, abs=0.02)


def test_noise_is_normal_white_and_of_its_key_and_stream() -> None:
    keys = torch.tensor([5, 6, 5 + 2**40])
    noise = normal_cells(keys, 0, 65_536).reshape(3, 256, 256)
    assert bool(noise.isfinite().all())
    assert noise.mean(dim=(1, 2)).abs().max() < 0.02
    assert (noise.std(dim=(1, 2)) - 1).abs().max() < 0.02
    assert abs(float((noise**4).mean()) - 3) < 0.1
    for other in (noise.roll(1, 1), noise.roll(1, 2), noise.roll(1, 0), normal_cells(keys, 1, 65_536).view_as(noise)):
        assert abs(float((noise * other).mean())) < 0.01
    torch.testing.assert_close(normal_cells(keys[1:2], 0, 65_536)[0].view(256, 256), noise[1], rtol=0, atol=1e-5)
    uniform = uniform_cells(keys, 2, 100_000)
    assert 0 < float(uniform.min()) < 1e-4
    assert 1 - 1e-4 < float(uniform.max()) < 1
    assert float(-(-uniform.log()).log().min()) > -20


@pytest.mark.parametrize("keys", [torch.arange(4000), torch.arange(4000) << 32, (torch.arange(4000) << 32) + 2**31])
def test_keys_that_differ_in_a_few_bits_have_noise_of_their_own(keys: torch.Tensor) -> None:
    for stream in (0, 1, 100):
        values = uniform_cells(keys, stream, 2)
        np.testing.assert_allclose(np.quantile(values, [0.1, 0.5, 0.9], axis=0)[:, 0], [0.1, 0.5, 0.9], atol=0.03)
        assert abs(np.corrcoef(values.T)[0, 1]) < 0.05


def test_noise_stays_the_noise_it_was() -> None:
    # A run that goes on, perhaps on another device, must go on with the same stream.
    values = uniform_cells(torch.tensor([123_456_789_012_345]), 3, 4)[0].tolist()
    assert values == pytest.approx(NOTED, abs=1e-6)


NOTED = [0.73500043, 0.51769513, 0.35456735, 0.64829117]
