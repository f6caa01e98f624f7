"""Single training samples of the window family, as arrays."""

from __future__ import annotations

import numpy as np
import torch

from bedside.engines.window.sampling.sampler import Drawn, Sampler

CPU = torch.device("cpu")


def sample_of(sampler: Sampler, number: int) -> Drawn:
    """The finished sample with a number."""
    fields = {name: values[0].numpy() for name, values in sampler.make([number], CPU).items() if name != "key"}
    return Drawn(colour=np.bool_(False), **fields)


def same(a: Drawn, b: Drawn) -> bool:
    """Whether two samples agree bit for bit."""
    return all(np.array_equal(value, vars(b)[name]) for name, value in vars(a).items())
