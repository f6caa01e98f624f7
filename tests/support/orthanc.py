"""A real PACS for tests: Orthanc from Debian, started on loopback with storage of its own."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USER, PASSWORD = "ward", "a-secret-of-tests"
TITLE = "ORTHANC"


@dataclass(frozen=True)
class Orthanc:
    """Where it listens.

    Attributes:
        web: Address of DICOMweb.
        dicom: Address of DIMSE.
        receiver: Port that it sends to when asked to move instances to BEDSIDE.
    """

    web: str
    dicom: str
    receiver: int
    root: str

    def files(self) -> dict[str, str]:
        """SOPInstanceUIDs of all that it holds, by its own identifiers."""
        instances = json.loads(self.ask("/instances?expand"))
        return {entry["ID"]: entry["MainDicomTags"]["SOPInstanceUID"] for entry in instances}

    def clear(self) -> None:
        for entry in self.files():
            self.ask(f"/instances/{entry}", method="DELETE")

    def ask(self, path: str, method: str = "GET", body: bytes | None = None) -> bytes:
        key = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            self.root + path, data=body, method=method, headers={"Authorization": f"Basic {key}"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_orthanc(folder: Path, **more: Any) -> Iterator[Orthanc]:
    program = shutil.which("Orthanc")
    if program is None or not PLUGIN.is_file():
        pytest.skip("Orthanc and its DICOMweb are not installed (Debian: orthanc, orthanc-dicomweb)")
    web, dicom, receiver = free_port(), free_port(), free_port()
    settings = {
        "Name": "tests",
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "HttpPort": web,
        "HttpBindAddresses": ["127.0.0.1"],
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "DicomPort": dicom,
        "DicomAet": TITLE,
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowEcho": True,
        "DicomModalities": {"bedside": ["BEDSIDE", "127.0.0.1", receiver]},
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "ConcurrentJobs": 1,
        # Orthanc 1.10 does not know label maps.
        "UnknownSopClassAccepted": True,
        **more,
    }
    (folder / "db").mkdir(parents=True)
    (folder / "orthanc.json").write_text(json.dumps(settings))
    found = Orthanc(
        f"http://127.0.0.1:{web}/dicom-web", f"dicom://{TITLE}@127.0.0.1:{dicom}", receiver, f"http://127.0.0.1:{web}"
    )
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log, cwd=folder)
        try:
            while True:
                try:
                    found.ask("/system")
                    break
                except (urllib.error.URLError, ConnectionError):
                    assert process.poll() is None, (folder / "log").read_text()
                    time.sleep(0.1)
            yield found
        finally:
            process.terminate()
            process.wait(timeout=60)
