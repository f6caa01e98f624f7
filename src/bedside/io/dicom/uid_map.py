"""New UIDs for old ones, the same for the same, kept in a file so that what comes back can be led home."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
import uuid
from pathlib import Path

from bedside.core.errors import FormatError, InputError
from bedside.core.files import atomic_path

STANDARD = "1.2.840.10008."
"""Root of the UIDs that name classes, syntaxes and well-known things, and nobody's images."""
KEY_BYTES = 32


class UidMap:
    """The UIDs and patients that were replaced, and by what.

    A new UID follows from the old one and a secret key, so that it cannot be guessed back without the key. Whoever has
    the map can: it stays in the hospital.

    Args:
        key: Secret of the map; a new one by default.

    Attributes:
        uids: New UID of each old one.
        patients: New id of each patient's id.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._key = secrets.token_bytes(KEY_BYTES) if key is None else key
        self.uids: dict[str, str] = {}
        self.patients: dict[str, str] = {}

    def uid(self, old: str) -> str:
        """Return the new UID of an old one; those of the standard stay."""
        if not old or old.startswith(STANDARD):
            return old
        if old not in self.uids:
            self.uids[old] = f"2.25.{uuid.UUID(bytes=self._digest('uid', old)[:16], version=4).int}"
        return self.uids[old]

    def patient(self, old: str) -> str:
        """Return the new id of a patient, by which what belongs together stays together."""
        if old not in self.patients:
            self.patients[old] = f"ANON{self._digest('patient', old).hex()[:12].upper()}"
        return self.patients[old]

    def save(self, path: Path) -> None:
        """Write the map to a file that its owner alone may read."""
        content = {"key": self._key.hex(), "uids": self.uids, "patients": self.patients}
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        path.chmod(0o600)

    @classmethod
    def load(cls, path: Path) -> UidMap:
        """Return the map of a file; a new one where there is no such file.

        Raises:
            InputError: Others may read it, who could then undo what it did.
            FormatError: It is no such map.
        """
        if not path.exists():
            return cls()
        if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise InputError(
                f"--uid-map {path}", expected="a file that its owner alone may read", fix=f"chmod 600 {path}"
            )
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            found = cls(bytes.fromhex(content["key"]))
            found.uids = {str(k): str(v) for k, v in content["uids"].items()}
            found.patients = {str(k): str(v) for k, v in content["patients"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"{path}", expected="a map of UIDs written by Bedside", got="something else") from error
        return found

    def _digest(self, what: str, old: str) -> bytes:
        return hmac.new(self._key, f"{what}:{old}".encode(), hashlib.sha256).digest()
