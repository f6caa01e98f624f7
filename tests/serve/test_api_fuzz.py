"""The API against its own description, by schemathesis: wrong and right requests to every operation.

``make fuzz-api MINUTES=10`` installs it and does this for longer; where it is not installed the test is skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("schemathesis")

pytestmark = pytest.mark.slow
Start = Callable[..., Any]
# Left out are checks of what the description cannot say: that a right request of the wrong moment (nothing to save,
# no such model) is answered by 2xx, and that what was deleted is gone from a description without links.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
)


def test_every_answer_is_one_that_the_description_names(start: Start, picture: Path, tmp_path: Path) -> None:
    minutes = float(os.environ.get("BEDSIDE_API_MINUTES", "0.25"))
    server = start()
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    arguments = [
        "run",
        f"{server.url}/api/openapi.json",
        "-H",
        f"Authorization: {server.client.headers['authorization']}",
    ]
    arguments += ["--checks", ",".join(CHECKS), "--phases", "coverage,fuzzing", "--max-time", f"{60 * minutes:g}"]
    arguments += ["-n", "4", "--seed", "1", "--continue-on-failure", "--no-color", "--request-timeout", "60"]
    command = [sys.executable, "-m", "schemathesis.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-1000:]
    operations = sum(len(path) for path in server.ok("GET", "/api/openapi.json")["paths"].values())
    assert f"Tested: {operations}" in done.stdout
    # The server lives on, and has kept its work.
    assert server.ok("GET", "/api/state")
