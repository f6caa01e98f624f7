"""What every archive can do, and what it tells of its studies, series and instances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

Keep = Callable[[str, bytes], None]
"""Takes an instance as it arrives: its SOPInstanceUID and its file."""


@dataclass(frozen=True)
class Query:
    """What is looked for; an empty field stands for anything.

    Attributes:
        study: StudyInstanceUID.
        series: SeriesInstanceUID.
        patient_id: As the hospital writes it.
        patient_name: With ``*`` and ``?`` as wild cards.
        accession: AccessionNumber.
        date: YYYYMMDD, or a range YYYYMMDD-YYYYMMDD.
        modality: As "CT".
    """

    study: str = ""
    series: str = ""
    patient_id: str = field(default="", repr=False)
    patient_name: str = field(default="", repr=False)
    accession: str = field(default="", repr=False)
    date: str = field(default="", repr=False)
    modality: str = ""

    @property
    def is_narrow(self) -> bool:
        """Whether it names a study or a patient, so that it cannot mean all that the archive holds."""
        return any((self.study, self.patient_id, self.patient_name, self.accession))


@dataclass(frozen=True)
class Study:
    """A study that an archive holds.

    Attributes:
        uid: StudyInstanceUID.
        modalities: Of its series.
        description: As the archive tells it.
        series: How many; None where the archive does not tell.
        instances: How many; None where the archive does not tell.
        date: StudyDate.
        patient: Name and id of the patient. Neither shows where this is printed.
    """

    uid: str
    modalities: tuple[str, ...] = ()
    description: str = field(default="", repr=False)
    series: int | None = None
    instances: int | None = None
    date: str = field(default="", repr=False)
    patient: tuple[str, str] = field(default=("", ""), repr=False)


@dataclass(frozen=True)
class Series:
    """A series that an archive holds.

    Attributes:
        study: StudyInstanceUID.
        uid: SeriesInstanceUID.
        modality: As "CT".
        number: SeriesNumber, "" where unknown.
        description: As the archive tells it.
        instances: How many; None where the archive does not tell.
    """

    study: str
    uid: str
    modality: str = ""
    number: str = ""
    description: str = field(default="", repr=False)
    instances: int | None = None


@dataclass(frozen=True)
class Instance:
    """An instance that an archive holds.

    Attributes:
        uid: SOPInstanceUID.
        kind: SOPClassUID, "" where the archive does not tell.
    """

    uid: str
    kind: str = ""


class Archive(Protocol):
    """A PACS, whichever protocol it speaks.

    Every method raises ``ArchiveError`` for what trying again does not mend, and ``UnreachableError`` for what it may.
    """

    def echo(self) -> None:
        """Make sure that the archive is there and lets us in."""

    def find_studies(self, query: Query) -> list[Study]:
        """Return the studies that ``query`` fits."""

    def find_series(self, query: Query) -> list[Series]:
        """Return the series that ``query`` fits, of the study that it names."""

    def find_instances(self, series: Series) -> list[Instance]:
        """Return the instances of a series."""

    def retrieve(self, series: Series, wanted: Sequence[Instance], keep: Keep, *, whole: bool) -> None:
        """Hand instances to ``keep``, one after the other, in the transfer syntax in which they are stored.

        Args:
            series: That they are of.
            wanted: Which.
            keep: Takes each; what it raises ends the transfer and is raised.
            whole: Whether they are all of the series.
        """

    def store(self, files: Sequence[Path], stored: Callable[[Path], None]) -> None:
        """Send files, and call ``stored`` with each that the archive has taken."""
