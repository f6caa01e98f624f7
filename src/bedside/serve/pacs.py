"""The PACS that the page searches, fetches from and stores to: that of ``bedside pacs``, by the same settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bedside.archive.address import NO_CREDENTIALS, Credentials, parse_address
from bedside.archive.contract import Archive, Query, Series, Study
from bedside.archive.fetching import fetch_series, nothing_found, store_files
from bedside.archive.found import without_patient
from bedside.archive.opening import open_archive
from bedside.archive.retries import Backoff
from bedside.core.files import scratch_folder
from bedside.serve.transfers import Transfer, Transfers

SEARCHES = Backoff(attempts=2)
"""Somebody waits for the answer of a search, and can ask again."""

Write = Callable[[Path], tuple[str, ...]]
"""Writes the file that is to be stored, and returns what to know of it."""


@dataclass(frozen=True)
class PacsConfig:
    """Where the PACS is and how it is spoken to.

    Attributes:
        address: As ``bedside pacs --pacs`` takes it.
        credentials: For DICOMweb.
        title: AE title of this machine, for DIMSE.
        authorities: File of certificates to trust instead of the system's.
    """

    address: str
    credentials: Credentials = NO_CREDENTIALS
    title: str = "BEDSIDE"
    authorities: Path | None = None

    def opened(self) -> AbstractContextManager[Archive]:
        """Return the archive, open in the block.

        Raises:
            InputError: The settings cannot be used.
            DependencyError: The extra ``pacs`` is not installed.
        """
        return open_archive(self.address, self.credentials, title=self.title, authorities=self.authorities)


class Pacs:
    """Searches and transfers. Its methods wait for the archive: they are called in threads.

    Args:
        config: Which archive.
        folder: Where fetched series are kept, each in a folder named by a digest.
        scratch: Where files lie until they are stored.
    """

    def __init__(self, config: PacsConfig, folder: Path, scratch: Path) -> None:
        self._config, self._folder, self._scratch = config, folder, scratch
        self.transfers = Transfers()

    @property
    def address(self) -> str:
        """Where it is, for people; it holds no secret."""
        return str(parse_address(self._config.address))

    def find_studies(self, query: Query, identify: bool) -> list[Study]:
        """Return the studies that a query fits, without who the patients are unless asked to ``identify`` them.

        Raises:
            ArchiveError: The archive cannot be reached, does not let us in, or fails.
        """
        with self._config.opened() as archive:
            found = SEARCHES.run(lambda: archive.find_studies(query))
        return found if identify else [_anonymous(study) for study in found]

    def find_series(self, study: str, identify: bool) -> list[Series]:
        """Return the series of a study, in the order of their numbers.

        Raises:
            ArchiveError: As ``find_studies``, or there is no such study.
        """
        with self._config.opened() as archive:
            studies = SEARCHES.run(lambda: archive.find_studies(Query(study=study)))
            if not studies:
                raise nothing_found("study")
            found = SEARCHES.run(lambda: archive.find_series(Query(study=study)))
        if identify:
            return found
        return [replace(one, description=without_patient(one.description, studies[0])) for one in found]

    def fetch(self, series: Series) -> Transfer:
        """Begin to fetch a series, or go on where an earlier fetch stopped."""

        def work(transfer: Transfer) -> None:
            with self._config.opened() as archive:
                report = fetch_series(archive, series, self._folder, transfer.backoff, transfer.advance)
            files = sorted(report.folder.glob("*.dcm"))
            # A segmentation is one file, and is opened as such.
            transfer.path = files[0] if len(files) == 1 else report.folder

        return self.transfers.begin("fetch", work, series.uid)

    def store(self, write: Write) -> Transfer:
        """Begin to store the file that ``write`` writes."""

        def work(transfer: Transfer) -> None:
            with self._written(write) as (file, notes), self._config.opened() as archive:
                transfer.notes = notes
                transfer.check()
                store_files(archive, [file], transfer.backoff, transfer.advance)

        return self.transfers.begin("store", work)

    @contextmanager
    def _written(self, write: Write) -> Iterator[tuple[Path, tuple[str, ...]]]:
        with scratch_folder(self._scratch) as folder:
            file = folder / "masks.dcm"
            yield file, write(file)


def _anonymous(study: Study) -> Study:
    return replace(study, description=without_patient(study.description, study), date="", patient=("", ""))
