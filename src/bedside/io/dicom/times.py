"""Times of acquisition as seconds, which go on over midnight: DICOM PS3.5 6.2 (DA, TM, DT)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import lru_cache
from itertools import pairwise

from bedside.io.dicom.frame import Frame

CLOCKS = ("AcquisitionTime", "ContentTime")
"""Attributes of a frame that are seconds: since the beginning of the calendar, or of a day where no date is known."""

DAY = 86400.0
_NIGHT = 0.75 * DAY
"""Seconds in which nothing was acquired, from which on a day holds the end and the beginning of one examination."""
_TIME = re.compile(r"(\d\d)(?::?(\d\d)(?::?(\d\d)(\.\d*)?)?)?")
_DATE = re.compile(r"(\d{4})\.?(\d\d)\.?(\d\d)")
_MOMENT = re.compile(r"(\d{8})(\d{2,6}(?:\.\d*)?)(?:([+-])(\d\d)(\d\d))?")


@lru_cache(maxsize=4096)
def seconds_of(time: str, day: str = "") -> float | None:
    """Return a moment as seconds; of the day alone where its date is missing or is none.

    Args:
        time: Hours, minutes, seconds as DICOM writes them ("235950.5"), or as before it ("23:59:50.5").
        day: The date ("20240131", "2024.01.31"), or "".

    Returns:
        None where ``time`` is none.
    """
    found, dated = _TIME.fullmatch(time.strip()), _DATE.fullmatch(day.strip())
    if found is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in found.groups()[:3])
    if hours >= 24 or minutes >= 60 or seconds > 60:
        return None
    passed = 3600 * hours + 60 * minutes + seconds + float(f"0{found.group(4) or ''}")
    try:
        days = date(*(int(part) for part in dated.groups())).toordinal() if dated is not None else 0
    except ValueError:
        days = 0
    return days * DAY + passed


@lru_cache(maxsize=4096)
def seconds_of_moment(moment: str) -> float | None:
    """Return a date with time ("20240131235950.5", "+0100" behind it for a zone) as seconds; None where it is none."""
    found = _MOMENT.fullmatch(moment.strip())
    if found is None:
        return None
    seconds = seconds_of(found.group(2), found.group(1))
    if seconds is None or found.group(3) is None:
        return seconds
    zone = 3600 * int(found.group(4)) + 60 * int(found.group(5))
    return seconds - (zone if found.group(3) == "+" else -zone)


def clock(seconds: float) -> str:
    """Return the time of day, without the date, which says too much of a patient."""
    hours, rest = divmod(round(seconds % DAY, 3), 3600)
    return f"{int(hours):02d}:{int(rest // 60):02d}:{rest % 60:06.3f}".rstrip("0").rstrip(".")


def over_midnight(frames: Sequence[Frame]) -> list[Frame]:
    """Return frames of a series with times that go on over midnight where no date, or one for all, tells the day."""
    made = list(frames)
    for name in CLOCKS:
        known = [(place, frame.attributes.get(name)) for place, frame in enumerate(made)]
        times = {place: time for place, time in known if isinstance(time, float)}
        if not times:
            continue
        if min(times.values()) < DAY <= max(times.values()):
            times = {place: time % DAY for place, time in times.items()}
        ordered = sorted(set(times.values()))
        if ordered[0] // DAY == ordered[-1] // DAY:
            gap, morning = max(((b - a, b) for a, b in pairwise(ordered)), default=(0.0, 0.0))
            if gap > _NIGHT:
                times = {place: time + DAY if time < morning else time for place, time in times.items()}
        for place, time in times.items():
            if time != made[place].attributes[name]:
                made[place] = replace(made[place], attributes={**made[place].attributes, name: time})
    return made
