"""The one place that knows which archive speaks which protocol."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bedside.archive.address import NO_CREDENTIALS, Credentials, check_title, parse_address
from bedside.archive.contract import Archive
from bedside.archive.dicomweb import WebArchive
from bedside.archive.dimse import DimseArchive, Method
from bedside.core.errors import DependencyError, InputError


@contextmanager
def open_archive(
    address: str,
    credentials: Credentials = NO_CREDENTIALS,
    *,
    title: str = "BEDSIDE",
    method: Method = "get",
    port: int = 11112,
    host: str = "127.0.0.1",
    authorities: Path | None = None,
) -> Iterator[Archive]:
    """Yield the archive at an address.

    Args:
        address: "https://HOST/dicom-web", or "dicom://AETITLE@HOST:PORT" ("dicoms" with TLS).
        credentials: For DICOMweb.
        title: AE title of this machine, for DIMSE.
        method: C-GET or C-MOVE, for DIMSE.
        port: That the archive sends to, for C-MOVE.
        host: Address to listen on, for C-MOVE.
        authorities: File of certificates to trust instead of the system's.

    Raises:
        InputError: No address of an archive, or settings that cannot be used with it.
        DependencyError: The extra ``pacs`` is not installed.
    """
    parsed = parse_address(address)
    require_pacs()
    found: WebArchive | DimseArchive
    if parsed.is_web:
        found = WebArchive(parsed, credentials, authorities)
    else:
        if credentials:
            raise InputError(f"credentials for {parsed}", expected="none: DIMSE knows AE titles alone", got="some")
        found = DimseArchive(
            parsed, check_title(title, "--aet"), method=method, port=port, host=host, authorities=authorities
        )
    try:
        yield found
    finally:
        found.close()


def require_pacs() -> None:
    """Make sure that the libraries that talk to archives are there.

    Raises:
        DependencyError: They are not.
    """
    try:
        import dicomweb_client  # noqa: F401
        import pynetdicom  # noqa: F401
    except ModuleNotFoundError as error:
        raise DependencyError(
            "a PACS needs dicomweb-client and pynetdicom", fix="install them with: pip install 'bedside[pacs]'"
        ) from error
