"""Libraries of reports: optional, asked for before the work, and nowhere on the way to a mask."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bedside.cli.main import execute
from bedside.core.errors import DependencyError
from bedside.evaluate.report import templating
from bedside.evaluate.report.templating import check_libraries


def test_a_missing_library_is_one_line_before_the_work(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(templating, "LIBRARIES", ("jinja2", "no_such_library"))
    with pytest.raises(DependencyError, match="reports need no_such_library"):
        check_libraries()
    out = tmp_path / "r.html"
    arguments = ["evaluate", "--data", str(data), "--model", "none", "--baseline", "box"]
    assert execute([*arguments, "--report", str(out)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "bedside: error: reports need no_such_library; install with: pip install 'bedside[evaluate]'\n"
    )
    assert not out.exists()
    # Everything else is measured without it.
    assert execute([*arguments, "--clicks", "0", "--markdown", str(tmp_path / "m.md")]) == 0


@pytest.mark.parametrize(
    "modules",
    ["bedside.engines.load, bedside.session, bedside.serve.app", "bedside.evaluate.runner, bedside.cli.evaluate"],
)
def test_masks_and_scores_are_made_without_them(modules):
    code = f"import {modules}, sys; print(*[m for m in ('matplotlib', 'jinja2') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # Starlette brings jinja2 where it is installed, and does without where it is not.
    assert "matplotlib" not in done.stdout
