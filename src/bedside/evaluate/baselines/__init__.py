"""What a user has without a trained model: classical methods behind the segmenters' protocol."""

from __future__ import annotations

from collections.abc import Callable

from bedside.core.registry import Registry
from bedside.engines.protocol import Segmenter

BaselineFactory = Callable[[], Segmenter]
"""Makes a segmenter; raises DependencyError where an optional library is missing."""

BASELINES: Registry[BaselineFactory] = Registry("baseline", "bedside.evaluate.baselines")
