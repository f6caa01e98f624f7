from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from bedside.cli.models import HEADINGS, table
from bedside.weights.models import model_cards


def test_models_as_json(cli: Callable[..., Any]) -> None:
    status, out, err = cli("models", "--json")
    assert (status, err) == (0, "")
    assert json.loads(out) == json.loads(json.dumps([card.to_dict() for card in model_cards()]))


def test_models_for_people(cli: Callable[..., Any]) -> None:
    status, out, err = cli("models")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == list(HEADINGS)
    assert [line.split()[0] for line in lines[1:]] == [card.name for card in model_cards()]
    assert "9,791,300" in next(line for line in lines if line.startswith("lite-medsam "))


def test_columns_are_aligned() -> None:
    assert list(table([("a", "n"), ("bb", "100"), ("c", "5")], right=(1,))) == ["a     n", "bb  100", "c     5"]


def test_models_are_listed_without_torch() -> None:
    code = (
        "import sys; from bedside.cli.main import execute; status = execute(['models']); "
        "print([m for m in ('torch', 'numpy', 'openvino') if m in sys.modules], file=sys.stderr); sys.exit(status)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "[]\n")
