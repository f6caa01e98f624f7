"""An archive over DIMSE: C-ECHO, C-FIND, C-GET or C-MOVE, C-STORE."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from bedside.archive.address import Address
from bedside.archive.contract import Instance, Keep, Query, Series, Study
from bedside.archive.failures import trusted, unreachable, untrusted
from bedside.archive.found import filters_of, instances_of, series_of, studies_of
from bedside.archive.hush import hushed
from bedside.archive.receiver import OUT_OF_RESOURCES, Receiver
from bedside.archive.syntaxes import LABELMAP, MOST, PLAIN, retrieval_contexts
from bedside.core.errors import ArchiveError, BedsideError, UnreachableError

CONNECT_S, ANSWER_S = 10.0, 60.0
"""Seconds to wait for a connection, and for an answer on it."""
VERIFICATION = "1.2.840.10008.1.1"
FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{n}" for n in (1, 2, 3))
"""Of the study root."""
SUCCESS, PENDING, CANCELLED = 0x0000, (0xFF00, 0xFF01), 0xFE00
NO_MATCHES = 0xB000
Method = Literal["get", "move"]


class DimseArchive:
    """A PACS that speaks DIMSE.

    Args:
        address: Of the service, with its AE title.
        title: AE title of this machine, by which the archive knows it.
        method: "get", by which instances come on the same connection, or "move", by which the archive opens one to us:
            it then has to know our title, host and port.
        port: That the archive sends to, for "move".
        host: Address of this machine on which it listens, for "move".
        authorities: File of certificates to trust instead of the system's, for "dicoms".
    """

    def __init__(
        self,
        address: Address,
        title: str = "BEDSIDE",
        *,
        method: Method = "get",
        port: int = 11112,
        host: str = "127.0.0.1",
        authorities: Path | None = None,
    ) -> None:
        self._address = address
        self._title = title
        self._method = method
        self._place = (host, port)
        self._tls = trusted(authorities) if address.is_encrypted else None

    def close(self) -> None:
        """Do nothing: connections end with what they were opened for."""

    def echo(self) -> None:
        """Send a C-ECHO."""
        with self._association([_context_of(VERIFICATION)]) as association:
            self._check(association.send_c_echo(), "echo")

    def find_studies(self, query: Query) -> list[Study]:
        """Search for studies by C-FIND."""
        asked = ("PatientName", "PatientID", "StudyDate", "StudyDescription", "ModalitiesInStudy")
        counts = ("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "StudyInstanceUID")
        return studies_of(self._find("STUDY", filters_of(query, "STUDY"), asked + counts))

    def find_series(self, query: Query) -> list[Series]:
        """Search for series of a study by C-FIND."""
        asked = ("SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "Modality", "NumberOfSeriesRelatedInstances")
        return series_of(self._find("SERIES", filters_of(query, "SERIES"), asked), query.study)

    def find_instances(self, series: Series) -> list[Instance]:
        """Search for the instances of a series by C-FIND."""
        named = {"StudyInstanceUID": series.study, "SeriesInstanceUID": series.uid}
        return instances_of(self._find("IMAGE", named, ("SOPInstanceUID", "SOPClassUID")))

    def retrieve(self, series: Series, wanted: Sequence[Instance], keep: Keep, *, whole: bool) -> None:
        """Retrieve by C-GET or C-MOVE, the whole series or a list of instances."""
        identifier = _identifier("SERIES" if whole else "IMAGE", {"StudyInstanceUID": series.study})
        identifier.SeriesInstanceUID = series.uid
        if not whole:
            identifier.SOPInstanceUID = [instance.uid for instance in wanted]
        kept = _Kept(keep)
        if self._method == "get":
            self._get(identifier, [instance.kind for instance in wanted], kept)
        else:
            self._move(identifier, kept)

    def store(self, files: Sequence[Path], stored: Callable[[Path], None]) -> None:
        """Send files by C-STORE, each in its own transfer syntax, or a plain one as the other."""
        from pydicom import dcmread
        from pydicom.errors import InvalidDicomError

        kinds = {}
        for file in files:
            try:
                with hushed():
                    meta = dcmread(file, stop_before_pixels=True, specific_tags=["SOPClassUID"]).file_meta
                kinds[file] = (str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID))
            except (InvalidDicomError, AttributeError) as error:
                raise ArchiveError(f"{file.name}", expected="a DICOM file with its class", got="none") from error
        for group in _groups(files, kinds):
            self._store(group, kinds, stored)

    def _store(self, files: Sequence[Path], kinds: dict[Path, tuple[str, str]], stored: Callable[[Path], None]) -> None:
        contexts = [
            _context_of(kind, PLAIN if syntax in PLAIN else (syntax,))
            for kind, syntax in dict.fromkeys(kinds[file] for file in files)
        ]
        with self._association(contexts) as association:
            for file in files:
                try:
                    answer = association.send_c_store(file)
                except ValueError as error:
                    raise self._not_taken(association, file, *kinds[file]) from error
                # Warnings mean that the instance is stored.
                if answer and 0xB000 <= answer.Status <= 0xBFFF:
                    stored(file)
                    continue
                self._check(answer, f"storing {file.name}")
                stored(file)

    def _not_taken(self, association: Any, file: Path, kind: str, syntax: str) -> ArchiveError:
        from pydicom.uid import UID

        known = any(context.abstract_syntax == kind for context in association.accepted_contexts)
        labelmap = kind == LABELMAP
        return ArchiveError(
            f"{self._address} does not take {file.name}",
            expected=f"{'the compression' if known else 'objects of the class'} "
            f"'{UID(syntax).name if known else 'Label Map Segmentation Storage' if labelmap else UID(kind).name}'",
            got="a rejection",
            fix="write it without compression" if known else "write it with --seg-type binary" if labelmap else None,
        )

    def _find(self, level: str, filters: dict[str, str], asked: Sequence[str]) -> Iterator[Any]:
        identifier = _identifier(level, filters, asked)
        answers = []
        with self._association([_context_of(FIND)]) as association:
            for status, answer in association.send_c_find(identifier, FIND):
                self._check(status, "searching", (*PENDING,))
                if answer is not None:
                    answers.append(answer)
        return iter(answers)

    def _get(self, identifier: Any, kinds: Sequence[str], kept: _Kept) -> None:
        from pynetdicom import build_role, evt

        contexts = retrieval_contexts(kinds)
        classes = {str(context.abstract_syntax) for context in contexts}
        roles = [build_role(kind, scp_role=True) for kind in sorted(classes)]
        handlers = [(evt.EVT_C_STORE, kept.handle)]
        with self._association([_context_of(GET), *contexts], handlers, roles) as association:
            for status, _ in association.send_c_get(identifier, GET):
                kept.check()
                # Some send by C-MOVE what they do not by C-GET.
                self._check(status, "retrieving", (*PENDING, NO_MATCHES), fix="try --method move, or DICOMweb")

    def _move(self, identifier: Any, kept: _Kept) -> None:
        host, port = self._place
        with (
            Receiver(kept.handle, self._title, host=host, port=port),
            self._association([_context_of(MOVE)]) as association,
        ):
            for status, _ in association.send_c_move(identifier, self._title, MOVE):
                kept.check()
                if status and status.Status == 0xA801:
                    raise ArchiveError(
                        f"{self._address} does not know the destination '{self._title}'",
                        fix="have the title, host and port of this machine entered there, or use --method get",
                    )
                self._check(status, "retrieving", (*PENDING, NO_MATCHES))

    @contextmanager
    def _association(
        self, contexts: Sequence[Any], handlers: Sequence[Any] = (), roles: Sequence[Any] = ()
    ) -> Iterator[Any]:
        from pynetdicom import AE

        entity = AE(ae_title=self._title)
        entity.connection_timeout = entity.acse_timeout = CONNECT_S
        entity.dimse_timeout = entity.network_timeout = ANSWER_S
        entity.maximum_pdu_size = 0
        address = self._address
        tls = None if self._tls is None else (self._tls, address.host)
        with hushed():
            association = entity.associate(
                address.host,
                address.port,
                contexts=list(contexts),
                ae_title=address.title,
                evt_handlers=list(handlers),
                ext_neg=list(roles) or None,
                tls_args=tls,
            )
            if not association.is_established:
                raise self._not_established(association)
            try:
                yield association
            except BaseException as error:
                lost = not association.is_established
                # Waiting for the end of a transfer that nobody wants any more could take as long as the transfer.
                association.abort()
                if isinstance(error, BedsideError) or not isinstance(error, ValueError | RuntimeError):
                    raise
                if lost:
                    raise UnreachableError(f"{address}: the connection ended") from error
                raise ArchiveError(f"{address} does not offer what is asked of it") from error
            if association.is_established:
                association.release()

    def _not_established(self, association: Any) -> ArchiveError:
        if association.is_rejected:
            return ArchiveError(
                f"{self._address} rejects the AE title '{self._title}'",
                fix="have the title of this machine entered in the PACS, name the one it has with --aet, and look "
                "whether the title before the @ is the PACS's",
            )
        if association.acceptor.primitive is not None and not association.accepted_contexts:
            return ArchiveError(f"{self._address} does not offer what is asked of it")
        return self._why_not()

    def _why_not(self) -> ArchiveError:
        """Find out why no connection came about, which pynetdicom logs and does not tell."""
        place = (self._address.host, self._address.port)
        try:
            with socket.create_connection(place, CONNECT_S) as plain:
                if self._tls is not None:
                    with self._tls.wrap_socket(plain, server_hostname=self._address.host):
                        pass
        except ssl.SSLError as error:
            return untrusted(self._address, error)
        except OSError as error:
            return unreachable(self._address, error)
        return UnreachableError(f"{self._address} cannot be reached", expected="an association", got="none")

    def _check(self, status: Any, doing: str, fine: Sequence[int] = (), fix: str | None = None) -> None:
        """Make sure that a status is success, or one of those that are fine here, too.

        Raises:
            UnreachableError: There is none: the connection ended.
            ArchiveError: It is a failure.
        """
        if not status or "Status" not in status:
            raise UnreachableError(f"{self._address}: {doing}", expected="an answer", got="none")
        code = int(status.Status)
        if code != SUCCESS and code not in fine:
            raise ArchiveError(f"{self._address}: {doing}", expected="success", got=f"status {code:#06x}", fix=fix)


class _Kept:
    """Hands instances that come in the thread of an association to ``keep``, and keeps what that raises."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._error: Exception | None = None

    def handle(self, event: Any) -> int:
        """Take one instance; returns the status that the sender is told."""
        if self._error is not None:
            return OUT_OF_RESOURCES
        try:
            self._keep(str(event.request.AffectedSOPInstanceUID), event.encoded_dataset())
        except Exception as error:
            self._error = error
            return OUT_OF_RESOURCES
        return SUCCESS

    def check(self) -> None:
        """Raise what keeping an instance raised."""
        if self._error is not None:
            raise self._error


def _context_of(kind: str, syntaxes: Sequence[str] = PLAIN) -> Any:
    from pynetdicom.presentation import build_context

    return build_context(kind, list(syntaxes))


def _identifier(level: str, filters: dict[str, str], asked: Sequence[str] = ()) -> Any:
    from pydicom import Dataset

    made = Dataset()
    made.QueryRetrieveLevel = level
    made.SpecificCharacterSet = "ISO_IR 192"
    for keyword in asked:
        setattr(made, keyword, None)
    for keyword, value in filters.items():
        setattr(made, keyword, value)
    return made


def _groups(files: Sequence[Path], kinds: dict[Path, tuple[str, str]]) -> Iterator[list[Path]]:
    """Yield runs of files that one association has contexts enough for."""
    group: list[Path] = []
    seen: set[tuple[str, str]] = set()
    for file in files:
        if len(seen | {kinds[file]}) > MOST:
            yield group
            group, seen = [], set()
        group.append(file)
        seen.add(kinds[file])
    if group:
        yield group
