"""One number for all tensors of a state dict."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from torch import Tensor


def state_sha256(state: Mapping[str, Tensor]) -> str:
    """Return SHA-256, hexadecimal, of names, types, shapes and values in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).numpy().tobytes())
    return digest.hexdigest()
