"""``bedside ui`` as a process of its own, as programs start it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[2] / "src"


@contextmanager
def running_ui(folder: Path, port: int = 0) -> Iterator[dict[str, Any]]:
    """Start a server whose workspace, token and cache lie in a folder; yield the line of JSON that it prints."""
    command = [sys.executable, "-m", "bedside", "ui", "--no-browser", "--port", str(port), "--json"]
    command += ["--token-file", str(folder / "token"), "--workspace", str(folder / "work.sqlite")]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "XDG_CACHE_HOME": str(folder / "cache")}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate(timeout=60)
