"""Where an archive is, and the credentials for it: neither is ever part of a message with a secret in it."""

from __future__ import annotations

import ipaddress
import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from bedside.core.errors import InputError

USER_VARIABLE, PASSWORD_VARIABLE, TOKEN_VARIABLE = "BEDSIDE_PACS_USER", "BEDSIDE_PACS_PASSWORD", "BEDSIDE_PACS_TOKEN"
FORMS = "https://HOST/dicom-web, or dicom://AETITLE@HOST:PORT (dicoms:// with TLS)"
PORTS = {"http": 80, "https": 443, "dicom": 104, "dicoms": 2762}
LONGEST_TITLE = 16
"""Characters of an AE title."""


@dataclass(frozen=True)
class Address:
    """Where an archive is.

    Attributes:
        scheme: "http", "https" (DICOMweb), "dicom" or "dicoms" (DIMSE, the latter with TLS).
        host: Name or number of the machine.
        port: Of the service.
        path: Root of a DICOMweb service, "" otherwise.
        title: AE title of a DIMSE service, "" otherwise.
    """

    scheme: str
    host: str
    port: int
    path: str = ""
    title: str = ""

    @property
    def is_web(self) -> bool:
        """Whether it is a DICOMweb service."""
        return self.scheme.startswith("http")

    @property
    def is_encrypted(self) -> bool:
        """Whether what is sent there is encrypted."""
        return self.scheme in ("https", "dicoms")

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        title = f"{self.title}@" if self.title else ""
        return f"{self.scheme}://{title}{host}:{self.port}{self.path}"


def parse_address(text: str) -> Address:
    """Return the address that ``text`` states.

    Raises:
        InputError: It is none, or holds a password, which others on the machine could read.
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError as error:
        raise InputError("address of the PACS", expected=FORMS, got="another form") from error
    # Of an address that may hold a password no more than the scheme is repeated.
    if parts.scheme not in PORTS or not parts.hostname or parts.query or parts.fragment:
        raise InputError("address of the PACS", expected=FORMS, got=f"the scheme '{parts.scheme}'")
    if parts.password is not None or (parts.scheme.startswith("http") and parts.username is not None):
        raise InputError(
            "address of the PACS",
            expected="no credentials in it, because other users of the machine see it",
            fix=f"give them in {USER_VARIABLE} and {PASSWORD_VARIABLE}, or with --credentials FILE",
        )
    if parts.scheme.startswith("http"):
        return Address(parts.scheme, parts.hostname, port or PORTS[parts.scheme], parts.path.rstrip("/"))
    return Address(parts.scheme, parts.hostname, port or PORTS[parts.scheme], title=_title(parts))


def check_title(title: str, what: str) -> str:
    """Return an AE title that the standard allows.

    Raises:
        InputError: It is empty, too long, or has other characters.
    """
    fine = title.isascii() and title.isprintable() and "\\" not in title and title.strip() == title
    if not fine or not 0 < len(title) <= LONGEST_TITLE:
        raise InputError(what, expected=f"an AE title of 1 to {LONGEST_TITLE} plain characters", got=f"'{title}'")
    return title


def _title(parts: SplitResult) -> str:
    if parts.path.strip("/"):
        raise InputError("address of the PACS", expected=FORMS, got="a path behind the port")
    if not parts.username:
        raise InputError("address of the PACS", expected=FORMS, got="no AE title before the host")
    return check_title(parts.username, "address of the PACS")


@dataclass(frozen=True)
class Credentials:
    """What an archive is told to let us in; nothing of it shows where this is printed.

    Attributes:
        user: Name for HTTP Basic, "" for none.
        password: Belongs to ``user``.
        token: Bearer token, "" for none.
    """

    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.user or self.token)


NO_CREDENTIALS = Credentials()


def find_credentials(file: Path | None, environment: Mapping[str, str] | None = None) -> Credentials:
    """Return the credentials of a file, or those of the environment where there is none.

    Args:
        file: TOML with ``user`` and ``password``, or ``token``, that its owner alone may read.
        environment: Variables; those of the process by default.

    Raises:
        InputError: The file is no such file, others may read it, or half of a pair is missing.
    """
    known = os.environ if environment is None else environment
    if file is None:
        values = {
            "user": known.get(USER_VARIABLE, ""),
            "password": known.get(PASSWORD_VARIABLE, ""),
            "token": known.get(TOKEN_VARIABLE, ""),
        }
        return _checked(values, f"{USER_VARIABLE}, {PASSWORD_VARIABLE}, {TOKEN_VARIABLE}")
    try:
        with file.open("rb") as opened:
            # Of the file that was opened, and not of one that takes its place meanwhile.
            _check_private(file, os.fstat(opened.fileno()))
            content = tomllib.load(opened)
    except OSError as error:
        raise InputError(f"credentials {file}", expected="a file that can be read", got=error.strerror) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        # The parser's message would repeat a part of the file.
        raise InputError(f"credentials {file}", expected='TOML, as user = "ward"', got="something else") from error
    wrong = sorted(k for k, v in content.items() if k not in ("user", "password", "token") or not isinstance(v, str))
    if wrong:
        raise InputError(
            f"credentials {file}", expected="user, password and token as text", got=f"{len(wrong)} other entries"
        )
    return _checked({str(k): str(v) for k, v in content.items()}, f"credentials {file}")


def _check_private(file: Path, seen: os.stat_result) -> None:
    # Windows keeps such rights elsewhere, and a user's own folders are private there.
    if os.name != "posix":
        return
    if stat.S_IMODE(seen.st_mode) & 0o077:
        raise InputError(
            f"credentials {file}",
            expected="a file that its owner alone may read",
            got=f"mode {stat.S_IMODE(seen.st_mode):03o}",
            fix=f"chmod 600 {file}",
        )
    if seen.st_uid not in (os.getuid(), 0):
        raise InputError(f"credentials {file}", expected="a file of your own", got="another user's")


def _checked(values: Mapping[str, str], where: str) -> Credentials:
    user, password, token = (values.get(k, "") for k in ("user", "password", "token"))
    if token and (user or password):
        raise InputError(where, expected="a token, or user and password", got="both")
    if bool(user) != bool(password):
        raise InputError(where, expected="user and password", got="one of them")
    if any(ord(c) < 32 for c in user + password + token) or ":" in user:
        raise InputError(where, expected="no control characters, and no colon in the user's name", got="some")
    return Credentials(user, password, token)
