"""Errors of connections, the same for both protocols, with nothing in them that a library's message may repeat."""

from __future__ import annotations

import ssl
from pathlib import Path

from bedside.core.errors import ArchiveError, InputError, UnreachableError

_WORDS = {
    "ConnectionRefusedError": "nothing listens there",
    "ConnectionResetError": "connection reset",
    "gaierror": "no host of that name",
    "TimeoutError": "no answer in time",
    "timeout": "no answer in time",
}


def unreachable(where: object, error: BaseException) -> UnreachableError:
    """Return the error for a connection that could not be made, or broke off."""
    return UnreachableError(f"{where} cannot be reached", expected="an answer", got=kind_of(error), fix="is it up?")


def untrusted(where: object, error: BaseException) -> ArchiveError:
    """Return the error for a certificate that could not be verified."""
    trouble = "no TLS there"
    for inner in _chain(error):
        if isinstance(inner, ssl.SSLCertVerificationError):
            trouble = str(inner.verify_message)
    return ArchiveError(
        f"{where}: TLS",
        expected="a certificate that can be verified",
        got=trouble,
        fix="name the file of your hospital's authority with --ca-file",
    )


def trusted(authorities: Path | None) -> ssl.SSLContext:
    """Return what verifies certificates, by those of a file, or the system's where there is none.

    Raises:
        InputError: The file holds no certificates.
    """
    try:
        return ssl.create_default_context(cafile=None if authorities is None else str(authorities))
    except (OSError, ssl.SSLError) as error:
        raise InputError(f"--ca-file {authorities}", expected="certificates (PEM)", got="something else") from error


def kind_of(error: BaseException) -> str:
    """Return the kind of the innermost error in words: messages may repeat an address with its query."""
    name = type(_chain(error)[-1]).__name__
    return _WORDS.get(name, name)


def _chain(error: BaseException) -> list[BaseException]:
    chain = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None and inner not in chain:
        chain.append(inner)
    return chain
