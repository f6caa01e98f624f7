"""What ``bedside segment`` is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bedside.session.flags import PromptFlags


@dataclass(frozen=True)
class Job:
    """What to segment, how, and where the results go; as the user wrote it."""

    image: Path
    output: Path
    overlay: Path | None
    flags: PromptFlags
    prompts: Path | None
    model: str | None
    device: str
    policy: Any
    series: str | None
    volume: int | None
    time_warm: bool = False
    format: str | None = None
    seg_type: Any = "binary"
    compress: bool = False
    name: str | None = None
    allow_empty: bool = False
    strip_phi: bool = False
    uid_map: Path | None = None
    propagate: bool = False
