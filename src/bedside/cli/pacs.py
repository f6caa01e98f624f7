"""``bedside pacs``: find, fetch and store in a hospital's archive, and receive what it sends."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bedside.cli.phi import StripOption, UidMapOption, check_map, kept_map, tell_notes
from bedside.core.errors import InputError

if TYPE_CHECKING:
    from bedside.archive.contract import Archive, Query

pacs = typer.Typer(name="pacs", add_completion=False, rich_markup_mode=None)


@pacs.callback(invoke_without_command=True)
def about(context: typer.Context) -> None:
    """Find, fetch and store studies in a PACS over DICOMweb or DIMSE, and receive what it sends.

    The PACS is named by --pacs or BEDSIDE_PACS: https://HOST/dicom-web, or dicom://AETITLE@HOST:PORT (dicoms:// with
    TLS). Credentials for DICOMweb come from BEDSIDE_PACS_USER and BEDSIDE_PACS_PASSWORD, or BEDSIDE_PACS_TOKEN, or a
    file that its owner alone may read.
    """
    if context.invoked_subcommand is None:
        print(context.get_help())


class Method(StrEnum):
    """How DIMSE brings instances."""

    GET = "get"
    MOVE = "move"


PacsOption = Annotated[
    str,
    typer.Option("--pacs", metavar="ADDRESS", envvar="BEDSIDE_PACS", show_envvar=False, help="Address of the PACS."),
]
CredentialsOption = Annotated[
    Path | None,
    typer.Option(
        "--credentials", metavar="FILE", envvar="BEDSIDE_PACS_CREDENTIALS", show_envvar=False,
        help="TOML with user and password, or token.",
    ),
]  # fmt: skip
AuthoritiesOption = Annotated[
    Path | None, typer.Option("--ca-file", metavar="FILE", help="Certificates to trust instead of the system's (PEM).")
]
TitleOption = Annotated[str, typer.Option("--aet", metavar="TITLE", help="AE title of this machine, for DIMSE.")]
AttemptsOption = Annotated[
    int, typer.Option("--attempts", metavar="N", min=1, help="Most tries without progress, with growing pauses.")
]
StudyOption = Annotated[str, typer.Option("--study", metavar="UID", help="StudyInstanceUID.")]
SeriesOption = Annotated[str, typer.Option("--series", metavar="UID", help="SeriesInstanceUID; with --study.")]
PatientIdOption = Annotated[str, typer.Option("--patient-id", metavar="ID", help="As the hospital writes it.")]
PatientOption = Annotated[str, typer.Option("--patient", metavar="NAME", help="FAMILY^GIVEN, with * and ?.")]
AccessionOption = Annotated[str, typer.Option("--accession", metavar="NUMBER", help="Accession number.")]
DateOption = Annotated[str, typer.Option("--date", metavar="DATE", help="YYYYMMDD, or YYYYMMDD-YYYYMMDD.")]
ModalityOption = Annotated[str, typer.Option("--modality", metavar="NAME", help="As CT.")]
MethodOption = Annotated[Method, typer.Option("--method", help="C-GET, or C-MOVE to this machine; for DIMSE.")]
HostOption = Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.")]
PortOption = Annotated[int, typer.Option("--port", metavar="N", min=0, max=65535, help="Port to listen on.")]


@pacs.command(short_help="Ask whether the PACS is there.")
def echo(
    address: PacsOption = "",
    credentials: CredentialsOption = None,
    authorities: AuthoritiesOption = None,
    title: TitleOption = "BEDSIDE",
) -> None:
    """Make sure that the PACS answers and lets us in."""
    with _opened(address, credentials, authorities, title) as archive:
        archive.echo()
    print(f"{_shown(address)} answers")


@pacs.command(short_help="List studies, or the series of one.")
def find(
    address: PacsOption = "",
    study: StudyOption = "",
    patient_id: PatientIdOption = "",
    patient: PatientOption = "",
    accession: AccessionOption = "",
    date: DateOption = "",
    modality: ModalityOption = "",
    identify: Annotated[bool, typer.Option("--identify", help="Also show date, name and id of the patient.")] = False,
    credentials: CredentialsOption = None,
    authorities: AuthoritiesOption = None,
    title: TitleOption = "BEDSIDE",
    attempts: AttemptsOption = 4,
) -> None:
    """List the studies that fit, or with --study the series of that one.

    Who the patients are is shown with --identify alone.
    """
    from bedside.archive.contract import Query, Study
    from bedside.archive.fetching import nothing_found
    from bedside.archive.found import without_patient
    from bedside.archive.retries import Backoff
    from bedside.cli.models import table

    query = _query(study, "", patient_id, patient, accession, date, modality)
    backoff = Backoff(attempts)
    rows: list[tuple[str, ...]] = []
    with _opened(address, credentials, authorities, title) as archive:
        if study:
            headings: tuple[str, ...] = ("number", "modality", "instances", "series", "description")
            (of, *_) = backoff.run(lambda: archive.find_studies(Query(study=study))) or [Study(study)]
            for s in backoff.run(lambda: archive.find_series(query)):
                described = s.description if identify else without_patient(s.description, of)
                rows.append((s.number, s.modality, _count(s.instances), s.uid, described))
        else:
            headings = ("modalities", "series", "instances", "study", "description")
            headings += ("date", "patient", "id") if identify else ()
            for of in backoff.run(lambda: archive.find_studies(query)):
                described = of.description if identify else without_patient(of.description, of)
                counts = _count(of.series), _count(of.instances)
                rows.append((" ".join(of.modalities), *counts, of.uid, described))
                rows[-1] += (of.date, *of.patient) if identify else ()
    if not rows:
        raise nothing_found("series" if study else "study")
    plain = [tuple(_plain(cell) for cell in row) for row in (headings, *rows)]
    print("\n".join(table(plain, right=(2,))))


@pacs.command(short_help="Fetch series into a folder.")
def fetch(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the series.")],
    address: PacsOption = "",
    study: StudyOption = "",
    series: SeriesOption = "",
    patient_id: PatientIdOption = "",
    patient: PatientOption = "",
    accession: AccessionOption = "",
    date: DateOption = "",
    modality: ModalityOption = "",
    credentials: CredentialsOption = None,
    authorities: AuthoritiesOption = None,
    title: TitleOption = "BEDSIDE",
    method: MethodOption = Method.GET,
    host: HostOption = "127.0.0.1",
    port: PortOption = 11112,
    attempts: AttemptsOption = 4,
) -> None:
    """Fetch the series that fit, each into a folder of its own, and go on where an earlier fetch stopped.

    With --method move the PACS sends to this machine: it has to know the AE title, address and port of it.
    """
    from bedside.archive.fetching import fetch_series, find_wanted
    from bedside.archive.retries import Backoff

    if output.exists() and not output.is_dir():
        raise InputError(f"-o {output}", expected="a folder", got="a file")
    query = _query(study, series, patient_id, patient, accession, date, modality)
    backoff = Backoff(attempts)
    with _opened(address, credentials, authorities, title, method, host, port) as archive:
        for found in find_wanted(archive, query, backoff):
            with counting_bar(f"fetching {found.modality} {found.number}".strip()) as advance:
                report = fetch_series(archive, found, output, backoff, advance)
            kept = f", {report.kept} were there" if report.kept else ""
            print(f"{report.folder}: fetched {report.fetched}{kept}")


@pacs.command(short_help="Store files.")
def store(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="DICOM files, or folders of them.")],
    address: PacsOption = "",
    strip_phi: StripOption = False,
    uid_map: UidMapOption = None,
    again: Annotated[bool, typer.Option("--again", help="Send what the PACS holds already, too.")] = False,
    credentials: CredentialsOption = None,
    authorities: AuthoritiesOption = None,
    title: TitleOption = "BEDSIDE",
    attempts: AttemptsOption = 4,
) -> None:
    """Store files that the PACS does not hold yet, as they are or without what tells who the patient is."""
    from bedside.archive.fetching import store_files
    from bedside.archive.retries import Backoff

    check_map(strip_phi, uid_map)
    files = _files(paths)
    with (
        _opened(address, credentials, authorities, title) as archive,
        _stripped(files, strip_phi, uid_map) as sent,
        counting_bar("storing") as advance,
    ):
        report = store_files(archive, sent, Backoff(attempts), advance, again=again)
    kept = f", {report.kept} were there" if report.kept else ""
    print(f"{_shown(address)}: stored {report.stored}{kept}")


@pacs.command(short_help="Receive what is sent here.")
def listen(
    output: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for the series; show it with: bedside ui DIR")],
    title: TitleOption = "BEDSIDE",
    host: HostOption = "127.0.0.1",
    port: PortOption = 11112,
    senders: Annotated[
        list[str], typer.Option("--from", metavar="TITLE", help="AE title that may send; repeatable. [default: all]")
    ] = [],  # noqa: B006
) -> None:
    """Receive series by C-STORE into a folder, one for each, until Ctrl+C.

    It listens on this machine alone; --host 0.0.0.0 opens it to the network, where AE titles are all that is asked.
    """
    import threading

    from bedside.archive.address import check_title
    from bedside.archive.opening import require_pacs
    from bedside.archive.receiver import Inbox, Receiver

    require_pacs()
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}", expected="a folder", got="a file")
    check_title(title, "--aet")
    inbox = Inbox(
        output,
        tell=lambda arrival: print(f"{arrival.folder}: received {arrival.instances}", flush=True),
        trouble=lambda message: print(f"bedside: {message}", file=sys.stderr, flush=True),
    )
    receiver = Receiver(
        inbox.handle, title, host=host, port=port, senders=[check_title(s, "--from") for s in senders],
        released=inbox.released,
    )  # fmt: skip
    with receiver:
        print(f"{title} listens on {host}:{receiver.port}, series go to {output}; Ctrl+C stops it", flush=True)
        threading.Event().wait()


@contextmanager
def _opened(
    address: str, credentials: Path | None, authorities: Path | None, title: str, method: Method = Method.GET,
    host: str = "127.0.0.1", port: int = 11112,
) -> Iterator[Archive]:  # fmt: skip
    from bedside.archive.address import find_credentials, parse_address
    from bedside.archive.opening import open_archive

    if not address:
        raise InputError("no PACS", expected="--pacs ADDRESS, or BEDSIDE_PACS", fix="see: bedside pacs --help")
    # DIMSE knows no credentials: those of the environment belong to DICOMweb.
    known = find_credentials(credentials, None if parse_address(address).is_web else {})
    with open_archive(
        address, known, title=title, method=method.value, port=port, host=host, authorities=authorities
    ) as archive:
        yield archive


def _shown(address: str) -> str:
    from bedside.archive.address import parse_address

    return str(parse_address(address))


def _query(study: str, series: str, patient_id: str, patient: str, accession: str, date: str, modality: str) -> Query:
    from bedside.archive.contract import Query

    parts = date.split("-")
    if date and not (len(parts) <= 2 and any(parts) and all(p.isdigit() and len(p) == 8 for p in parts if p)):
        raise InputError("--date", expected="YYYYMMDD, or YYYYMMDD-YYYYMMDD", got="another form")
    return Query(study, series, patient_id, patient, accession, date, modality.upper())


def _plain(cell: str) -> str:
    """A cell without characters by which a stranger's text could steer a terminal."""
    return "".join(c if c.isprintable() else " " for c in cell)


def _count(number: int | None) -> str:
    return "" if number is None else str(number)


def _files(paths: list[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
        elif path.is_file():
            found.append(path)
        else:
            raise InputError(f"{path}", expected="a DICOM file or a folder of them", got="nothing there")
    if not found:
        raise InputError("what to store", expected="DICOM files", got="empty folders")
    return found


@contextmanager
def _stripped(files: list[Path], wanted: bool, uid_map: Path | None) -> Iterator[list[Path]]:
    """Yield the files, or copies of them without what tells of the patient."""
    import tempfile

    from bedside.io.dicom.phi import strip_file

    with kept_map(wanted, uid_map) as uids:
        if uids is None:
            yield files
            return
        with tempfile.TemporaryDirectory(prefix="bedside-") as folder:
            copies = [Path(folder) / f"{number:06d}.dcm" for number in range(len(files))]
            for file, copy in zip(files, copies, strict=True):
                tell_notes(f"{file.name}: {note}" for note in strip_file(file, copy, uids))
            if uid_map is not None:
                uids.save(uid_map)
            yield copies


@contextmanager
def counting_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a bar that counts instances, or nothing at all where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
