"""Objects like a few accepted ones, proposed and begun: find the like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bedside.core.errors import InputError
from bedside.core.image import Image
from bedside.core.labels import free_label
from bedside.core.mask import PackedMask
from bedside.core.region import Region
from bedside.session.objects import ObjectState
from bedside.session.stopping import Stopping

if TYPE_CHECKING:
    from bedside.engines.likeness import Likeness
    from bedside.engines.protocol import Segmenter
    from bedside.io.dicom.segments import SegmentSet
    from bedside.session.segmentations import Opened

MOST_PLACES = 300
"""Places of an image that the network is asked at."""
MOST_PLACES_IN_VOLUMES = 60


class Finding(Stopping):
    """Proposals of what is like other objects; a part of ``Session``."""

    image: Image
    _segmenter: Segmenter
    _states: dict[int, ObjectState]
    _current: int | None
    _last_label: int

    @property
    def model(self) -> str:
        """Name of the model that predicts."""
        raise NotImplementedError

    def take_segments(self, found: SegmentSet, first: int | None = None, what: str = "segmentation") -> Opened:
        """Begin an object for each segment; see ``Segmentations.take_segments``."""
        raise NotImplementedError

    def _state(self, object_id: int | None) -> ObjectState:
        raise NotImplementedError

    def find_like(
        self,
        objects: Sequence[int] | None = None,
        *,
        threshold: float = 0.4,
        most: int | None = None,
        report: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> list[Likeness]:
        """Propose all others of the kind of a few objects, the most alike first; nothing changes.

        A small classifier fitted on the objects says where others may be, and the model draws each from a box of their
        size. Proposals share no voxel with each other, nor with an object that is there, whatever its kind.

        Args:
            objects: Numbers of the objects to go by; by default all that have a voxel.
            threshold: How alike a proposal has to be, 0 to 1: lower finds more, and more that is wrong.
            most: Places that the model is asked at, at most; by default 300, in volumes 60.
            report: Called after each place with how many are done and how many there are.

        Raises:
            InputError: There is no such object, none has a voxel, or a number is out of range.
            StoppedError: ``cancel`` was called; nothing has changed.

        Example:
            >>> session.add_point((120, 80))
            >>> session.take_like(session.find_like(), name="cell").objects
        """
        from bedside.engines.likeness import find_like

        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
            raise InputError("find like: threshold", expected="a number from 0 to 1", got=repr(threshold)[:40])
        usual = MOST_PLACES if self.image.ndim == 2 else MOST_PLACES_IN_VOLUMES
        number = usual if most is None else most
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise InputError("find like: places", expected="at least 1", got=repr(number)[:40])
        if objects is not None and not isinstance(objects, list | tuple | set | range):
            raise InputError("find like: objects", expected="a list of numbers", got=repr(objects)[:40])
        chosen = [self._state(n) for n in objects] if objects is not None else list(self._states.values())
        examples = [state.mask for state in chosen if not state.mask.region.is_empty]
        if not examples:
            raise InputError("find like", expected="at least one object with a mask", got="none")
        ids = {state.journal.id for state in chosen}
        others = [s.mask for n, s in self._states.items() if n not in ids and not s.mask.region.is_empty]
        with self._may_stop():
            return find_like(
                self._segmenter, self.image, examples, others=others, threshold=threshold, most=number, report=report
            )

    def take_like(self, proposals: Sequence[Likeness], *, first: int | None = None, name: str | None = None) -> Opened:
        """Begin an object for each proposal; its mask is a prompt, which clicks correct and undo takes back.

        Args:
            proposals: What ``find_like`` returned, or the part of it that is accepted.
            first: Number of the first object; by default one more than any there is.
            name: What the objects are called, with the label behind it; "object" by default.

        Returns:
            The objects that were begun. The current object stays the current one.

        Raises:
            InputError: They are no proposals, or an object has such a number already.
        """
        from bedside.engines.likeness import Likeness
        from bedside.session.segmentations import Opened, segments_of

        if not all(isinstance(proposal, Likeness) for proposal in proposals):
            raise InputError("take like", expected="what find_like returned", got=repr(proposals)[:60])
        if not proposals:
            return Opened((), Region.empty(self.image.ndim), ())
        used: set[int | None] = {state.journal.label for state in self._states.values()}
        drawn: list[tuple[int, str, str | None, PackedMask]] = []
        for proposal in proposals:
            label = free_label(used, self._last_label)
            used.add(label)
            drawn.append((label, f"{name or 'object'} {label}", None, proposal.mask))
        before = self._current
        opened = self.take_segments(segments_of(drawn, self.image, self.model), first, "proposals")
        self._current = before if before is not None else self._current
        return opened
