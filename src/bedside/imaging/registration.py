"""Rigid registration of two images of one patient, so that masks drawn on the one can be carried over to the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.no_data import absent
from bedside.core.pyramid import is_pyramid, overview_of
from bedside.core.stopping import check_stop

CELLS = (24, 48, 96)
"""Cells along the longer sides of both images, level by level."""
SAMPLES = 50_000
"""Cells, drawn at random with a fixed seed, that a step of the optimiser looks at."""
LEAST_SIDE = 8
"""Voxels that an image needs along two of its axes."""
LEAST_GAIN = 1.25
"""Times as much mutual information as where the files place the images that a motion needs to be believed.

Of images that lie right already, of two modalities above all, a little more can be had by turning them wrongly."""
_BINS = 32
_SEED = 1
_PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True, eq=False)
class RigidMotion:
    """A rotation and a shift of the patient between two images.

    Attributes:
        matrix: float64 (n + 1, n + 1), homogeneous, from a point of the image to the same anatomy in the prior; both
            in mm of LPS, (x, y, z) order.
        centre: Point of the image, mm, about which it turns; where ``shift_mm`` is measured.
        information: Mutual information of the two images after registration, in nats; 0 for unrelated ones.
        information_before: The same where both lie as their files say.
    """

    matrix: NDArray[np.float64]
    centre: tuple[float, ...]
    information: float
    information_before: float

    @property
    def moves(self) -> bool:
        """Whether it differs from where the files place the images."""
        return not np.array_equal(self.matrix, np.eye(len(self.matrix)))

    @property
    def shift_mm(self) -> float:
        """How far the image's centre moves, in mm."""
        n = len(self.centre)
        return float(np.linalg.norm(self.matrix[:n, :n] @ self.centre + self.matrix[:n, n] - self.centre))

    @property
    def angle_degrees(self) -> float:
        """By how much it turns, 0 to 180 degrees."""
        n = len(self.centre)
        cosine = (np.trace(self.matrix[:n, :n]) - (n - 2)) / 2
        return math.degrees(math.acos(float(np.clip(cosine, -1.0, 1.0))))

    def place(self, prior: Geometry) -> Geometry:
        """Return a grid of the prior as it lies in the image's world: a rigid motion makes a grid of a grid."""
        n = prior.ndim
        back = np.linalg.inv(self.matrix)
        return Geometry.create(
            prior.shape,
            prior.spacing,
            list(back[:n, :n] @ np.asarray(prior.origin) + back[:n, n]),
            back[:n, :n] @ np.asarray(prior.direction),
        )


def register_rigid(image: Image, prior: Image) -> RigidMotion:
    """Find the rigid motion that brings an earlier image of a patient, or one of another modality, onto an image.

    Mutual information (Mattes et al., IEEE TMI 22:120, 2003) is maximised on grids of 24, 48 and 96 cells along the
    longer sides, by gradient ascent and between them by Powell's method, which gets over ridges where the gradient
    turns back and forth. It begins where the files place the images, and where their centres meet; the better one of
    the two after the coarsest level is refined. Where that gains little, the files are believed and nothing moves. Two
    runs agree to a ten thousandth of a mm: ITK's threads add up in the order in which they end.

    Args:
        image: The one that masks are wanted for; colour counts as grey.
        prior: The one that they were drawn on; as many axes.

    Raises:
        InputError: Another number of axes, one with and one without a known spacing, fewer than 8 voxels along two
            axes, or an image of one value.
        StoppedError: See ``core.stopping``.

    Example:
        >>> motion = register_rigid(follow_up, baseline)              # doctest: +SKIP
        >>> f"{motion.shift_mm:.1f} mm, {motion.angle_degrees:.1f} degrees"   # doctest: +SKIP
        '11.9 mm, 4.2 degrees'
    """
    _check(image, prior)
    fixed, moving = _Pyramid(image), _Pyramid(prior)
    here, there = _middle(image.geometry), _middle(prior.geometry)
    levels = [(fixed.level(cells), moving.level(cells)) for cells in CELLS]
    starts = [_motion(here, (0.0,) * len(here)), _motion(here, tuple(b - a for a, b in zip(here, there, strict=True)))]
    reached = [_climb(*levels[0], start) for start in starts]
    motion = max(reached, key=lambda found: _information(*levels[0], found))
    motion = _climb(*levels[1], motion, along_lines=True)
    motion = _climb(*levels[2], motion)
    before, after = (_information(*levels[-1], m) for m in (starts[0], motion))
    if after < LEAST_GAIN * before:
        motion, after = starts[0], before
    return RigidMotion(_matrix(motion, len(here)), here, after, before)


def _check(image: Image, prior: Image) -> None:
    if image.ndim != prior.ndim:
        raise InputError("the prior", expected=f"{image.ndim} axes, as the image", got=prior.ndim)
    if image.geometry.spacing_known != prior.geometry.spacing_known:
        without = "the prior" if image.geometry.spacing_known else "the image"
        raise InputError(without, expected="the size of its voxels in mm", got="none in its file")
    for what, one in (("the image", image), ("the prior", prior)):
        if sorted(one.shape)[-2] < LEAST_SIDE:
            raise InputError(what, expected=f"at least {LEAST_SIDE} voxels along two axes", got=one.shape)


def _middle(grid: Geometry) -> tuple[float, ...]:
    """Return the world position of a grid's centre, mm."""
    return tuple(float(v) for v in grid.index_to_world([(n - 1) / 2 for n in grid.shape[::-1]]))


class _Pyramid:
    """An image for ITK, from which coarser ones are made.

    Args:
        image: Any; samples that are no measurement become the darkest there is.
    """

    def __init__(self, image: Image) -> None:
        import SimpleITK as sitk  # noqa: N813 - the name that all its users know

        # A slide of gigapixels is not needed whole: its overview has more cells than the finest level.
        array, geometry = _reduced(image)
        values = array.astype(np.float32)
        values = values.mean(axis=-1) if image.is_colour else values
        missing = absent(array if not image.is_colour else values, image.no_data)
        known = values if missing is None else values[~missing]
        low, high = np.percentile(known, _PERCENTILES) if known.size else (0.0, 0.0)
        if not high > low:
            low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
        if not high > low:
            raise InputError(image.source or "an image", expected="samples of several values", got="one value")
        values = np.clip(values, low, high)
        if missing is not None:
            values[missing] = low
        self._image: Any = sitk.GetImageFromArray(values)
        self._image.SetSpacing(geometry.spacing)
        self._image.SetOrigin(geometry.origin)
        self._image.SetDirection(np.ravel(geometry.direction).tolist())

    def level(self, cells: int) -> Any:
        """Return the image with about ``cells`` along its longest side, as near to cubes as whole voxels allow."""
        import SimpleITK as sitk  # noqa: N813 - the name that all its users know

        sizes, spacing = self._image.GetSize(), self._image.GetSpacing()
        wanted = max(n * s for n, s in zip(sizes, spacing, strict=True)) / cells
        factors = [max(1, min(n // 4, round(wanted / s))) for n, s in zip(sizes, spacing, strict=True)]
        return sitk.SmoothingRecursiveGaussian(sitk.BinShrink(self._image, factors), wanted / 2)


def _reduced(image: Image) -> tuple[NDArray[Any], Geometry]:
    """Return an image's samples and grid, every n-th voxel where it is one that is too large to read."""
    if not is_pyramid(image.array):
        return image.array, image.geometry
    array = overview_of(image.array)
    grid = image.geometry
    scale = [a / b for a, b in zip(grid.shape, array.shape, strict=False)][::-1]
    spacing = [s * f for s, f in zip(grid.spacing, scale, strict=True)]
    origin = [float(v) for v in grid.index_to_world([(f - 1) / 2 for f in scale])]
    return array, Geometry.create(array.shape[: grid.ndim], spacing, origin, grid.direction)


def _motion(centre: Sequence[float], shift: Sequence[float]) -> Any:
    import SimpleITK as sitk  # noqa: N813 - the name that all its users know

    motion = sitk.Euler3DTransform() if len(centre) == 3 else sitk.Euler2DTransform()
    motion.SetCenter(centre)
    motion.SetTranslation(shift)
    return motion


def _climb(fixed: Any, moving: Any, start: Any, *, along_lines: bool = False) -> Any:
    """Return the motion of most information near ``start``: by its gradient, or along one parameter after the other."""
    check_stop()
    motion = type(start)(start)
    method = _method(fixed)
    spacing = min(fixed.GetSpacing())
    if along_lines:
        method.SetOptimizerAsPowell(20, stepLength=spacing, stepTolerance=spacing / 50, valueTolerance=1e-5)
    else:
        method.SetOptimizerAsRegularStepGradientDescent(
            spacing, spacing / 200, 300, relaxationFactor=0.8, gradientMagnitudeTolerance=1e-12
        )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(motion, inPlace=True)
    try:
        method.Execute(fixed, moving)
    except RuntimeError:
        # The images do not meet there, or lost each other on the way.
        return start
    return motion


def _information(fixed: Any, moving: Any, motion: Any) -> float:
    method = _method(fixed)
    method.SetInitialTransform(motion)
    try:
        return -float(method.MetricEvaluate(fixed, moving))
    except RuntimeError:
        # The images do not meet at all.
        return 0.0


def _method(fixed: Any) -> Any:
    import SimpleITK as sitk  # noqa: N813 - the name that all its users know

    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    cells = int(np.prod(fixed.GetSize()))
    if cells > SAMPLES:
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(SAMPLES / cells, _SEED)
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _matrix(motion: Any, n: int) -> NDArray[np.float64]:
    """Return the homogeneous matrix (n + 1, n + 1) of one of ITK's motions."""
    matrix = np.eye(n + 1)
    matrix[:n, :n] = np.reshape(motion.GetMatrix(), (n, n))
    matrix[:n, n] = motion.TransformPoint((0.0,) * n)
    return matrix
