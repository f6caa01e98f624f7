"""The client class of the package ``monailabel``, out of its wheel: installed it would bring torch and numpy too."""

from __future__ import annotations

import importlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

VERSION = "0.8.5"


def client_class(folder: Path) -> Any:
    """Return ``MONAILabelClient``; skips the test where the package cannot be had, or not be imported."""
    pytest.importorskip("requests")
    if sys.version_info >= (3, 13):
        pytest.skip(f"monailabel {VERSION} needs the module cgi, which Python 3.13 has no more")
    if importlib.util.find_spec("monailabel") is None:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input", "--retries", "0"]
        try:
            done = subprocess.run(
                [*command, "--timeout", "20", "--dest", str(folder), f"monailabel=={VERSION}"],
                capture_output=True,
                timeout=120,
                check=False,
            )
        except subprocess.TimeoutExpired:
            pytest.skip(f"monailabel {VERSION} could not be downloaded in time")
        wheels = sorted(folder.glob("monailabel-*.whl"))
        if done.returncode or not wheels:
            pytest.skip(f"monailabel {VERSION} cannot be downloaded here")
        # A wheel is a zip: nothing of it has to be unpacked.
        sys.path.insert(0, str(wheels[0]))
    with pytest.warns(DeprecationWarning, match="cgi") if "cgi" not in sys.modules else _nothing():
        module = importlib.import_module("monailabel.client.client")
    return module.MONAILabelClient


def _nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext()
