"""What all tests share."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# No test may fail because the machine was busy, and continuous integration draws the same examples every time.
settings.register_profile(
    "bedside", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("bedside")
