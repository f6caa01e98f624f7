"""Jinja templates of the reports, in which every name and text is escaped."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from bedside.core.errors import DependencyError
from bedside.evaluate.report.pictures import data_uri

TEMPLATES = Path(__file__).parent / "templates"
LIBRARIES = ("jinja2", "matplotlib")


def check_libraries() -> None:
    """Check that what reports are made with is installed, before an evaluation takes its time.

    Raises:
        DependencyError: Something is not.
    """
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise DependencyError(
            f"reports need {' and '.join(missing)}", fix="install with: pip install 'bedside[evaluate]'"
        )


def render(template: str, **values: Any) -> str:
    """Fill a template.

    Args:
        template: File in the folder of templates.
        values: What it names. Text is escaped; what is markup already comes as ``markupsafe.Markup``.
    """
    check_libraries()
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["data_uri"] = data_uri
    return environment.get_template(template).render(**values)
