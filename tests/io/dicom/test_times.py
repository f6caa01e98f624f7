"""Times of acquisition over midnight, with dates and without, against Python's own calendar."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside import io
from bedside.core.errors import ChoiceError
from bedside.io.dicom.times import DAY, clock, seconds_of, seconds_of_moment

WriteSeries = Callable[..., list[Path]]
MOMENTS = st.datetimes(datetime(1901, 1, 1), datetime(2099, 12, 31))


@given(MOMENTS, st.sampled_from(["%H%M%S", "%H:%M:%S", "%H%M%S.%f", "%H%M"]), st.sampled_from(["%Y%m%d", "%Y.%m.%d"]))
def test_times_are_the_seconds_of_the_calendar(moment: datetime, time: str, day: str) -> None:
    written = moment.strftime(time)
    expected = datetime.strptime(f"{moment:%Y%m%d} {written}", f"%Y%m%d {time}") - datetime(1, 1, 1)
    found = seconds_of(written, moment.strftime(day))
    assert found is not None
    assert found - DAY == pytest.approx(expected.total_seconds(), abs=1e-4)
    assert seconds_of(written) == pytest.approx(found % DAY, abs=1e-4)


@given(MOMENTS, st.integers(-12, 14))
def test_a_zone_moves_a_moment_to_greenwich(moment: datetime, hours: int) -> None:
    there = seconds_of_moment(f"{moment:%Y%m%d%H%M%S.%f}{hours:+03d}00")
    here = seconds_of_moment(f"{moment - timedelta(hours=hours):%Y%m%d%H%M%S.%f}")
    assert there == pytest.approx(here, abs=1e-4)


@pytest.mark.parametrize("text", ["", "noon", "250000", "127000", "1", "5:00"])
def test_what_is_no_time_has_no_seconds(text: str) -> None:
    assert seconds_of(text) is None
    assert seconds_of_moment("20240131" + text) is None


def test_a_shown_time_has_no_date() -> None:
    assert clock(seconds_of("235950.5", "20240131") or 0.0) == "23:59:50.5"
    assert clock(60.0) == "00:01:00"


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.integers(1, 50),
    dates=st.sampled_from(["each its own", "one for all", "none"]),
    keyword=st.sampled_from(["AcquisitionTime", "ContentTime", "AcquisitionDateTime"]),
    by_slice=st.booleans(),
)
def test_moments_over_midnight_stay_apart_and_in_order(
    tmp_path_factory: pytest.TempPathFactory,
    write_series: WriteSeries,
    start: int,
    dates: str,
    keyword: str,
    by_slice: bool,
) -> None:
    folder = tmp_path_factory.mktemp("midnight")
    begin = datetime(2024, 2, 28, 23, 59, 59) - timedelta(seconds=start)
    for number in range(3):
        pixels = np.array([np.full((4, 5), 10 * number + k) for k in range(5)], np.int16)
        where = [(0.0, 0.0, 2.0 * k) for k in range(5)]
        paths = write_series(folder, where, series_uid="1.2.3", pixels=pixels, prefix="bca"[number])
        for k, path in enumerate(paths):
            _stamp(path, begin + timedelta(seconds=20 * number + (3 * k if by_slice else 0)), dates, keyword)
    with pytest.raises(ChoiceError, match="3 volumes") as error:
        io.read_image(folder)
    assert "20240" not in str(error.value)
    for number in range(3):
        np.testing.assert_array_equal(io.read_image(folder, volume=number).array[:, 0, 0], 10 * number + np.arange(5))


def _stamp(path: Path, moment: datetime, dates: str, keyword: str) -> None:
    dataset: Any = pydicom.dcmread(path)
    del dataset.InstanceNumber
    if keyword == "AcquisitionDateTime":
        dataset.AcquisitionDateTime = f"{moment:%Y%m%d%H%M%S}"
    else:
        setattr(dataset, keyword, f"{moment:%H%M%S}")
        if dates != "none":
            day = moment if dates == "each its own" else datetime(2024, 2, 28)
            setattr(dataset, keyword.replace("Time", "Date"), f"{day:%Y%m%d}")
    dataset.save_as(path)
