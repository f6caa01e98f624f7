"""A DICOMweb service of a few lines that fails as it is told: busy, cut off, or waiting in the middle."""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom

BOUNDARY = "part-of-an-answer"


@dataclass
class WebPacs:
    """What it holds and how it behaves.

    Attributes:
        files: Content by SOPInstanceUID.
        busy: Requests that are answered with 503 before one is served.
        send: Instances of a series that are sent before the connection is cut; None for all.
        torn: Whether half of the next instance is sent before the cut.
        wait: Set by whoever wants the service to go on after ``send`` instances, instead of cutting.
        waiting: Set by the service when it waits.
        fault: "busy", "missing", "conflict", "garbage" or "cut": what every answer is, with the patient in it.
        asked: Paths of the requests, with "+" for those with credentials.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    busy: int = 0
    send: int | None = None
    torn: bool = False
    wait: threading.Event | None = None
    waiting: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)
    moved_to: str = ""
    fault: str = ""
    address: str = ""

    def put(self, *paths: Path) -> None:
        for path in paths:
            self.files[str(pydicom.dcmread(path).SOPInstanceUID)] = path.read_bytes()

    def headers(self) -> list[Any]:
        return [pydicom.dcmread(BytesIO(content), stop_before_pixels=True) for content in self.files.values()]


class _Handler(BaseHTTPRequestHandler):
    pacs: WebPacs
    protocol_version = "HTTP/1.0"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        del format, args

    def do_GET(self) -> None:
        pacs, path = self.pacs, self.path.partition("?")[0]
        pacs.asked.append(path + ("+" if "Authorization" in self.headers else ""))
        if pacs.moved_to:
            self.send_response(302)
            self.send_header("Location", pacs.moved_to + self.path)
            self.end_headers()
        elif pacs.fault:
            self._fail()
        elif pacs.busy:
            pacs.busy -= 1
            self._send(503, b"", "text/plain")
        elif re.search(r"/(studies|series|instances)$", path):
            self._find(path)
        else:
            self._retrieve(path.rsplit("/", 1)[1], whole="/instances/" not in path)

    def do_POST(self) -> None:
        pacs = self.pacs
        pacs.asked.append("POST")
        body = self._body()
        if pacs.fault:
            self._fail()
            return
        if pacs.send is not None and len(pacs.files) >= pacs.send:
            self._pause()
            if pacs.wait is None:
                return
        start = body.index(b"\r\n\r\n") + 4
        content = body[start : body.rindex(b"\r\n--")]
        pacs.files[str(pydicom.dcmread(BytesIO(content)).SOPInstanceUID)] = content
        self._send(200, b"{}", "application/dicom+json")

    def _fail(self) -> None:
        """Answer as a PACS does that has trouble: with all that it knows of the patient."""
        patient = " ".join(f"{h.PatientName} {h.PatientID} {h.StudyDate}" for h in self.pacs.headers()).encode()
        statuses = {"busy": 503, "missing": 404, "conflict": 409, "garbage": 200, "cut": 200}
        if self.pacs.fault == "cut":
            self.send_response(200)
            self.send_header("Content-Type", "application/dicom+json")
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(patient)
            return
        self.send_response(statuses[self.pacs.fault], patient.decode()[:200])
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(patient)))
        self.send_header("Warning", f"299 x {patient.decode()}")
        self.end_headers()
        self.wfile.write(patient)

    def _body(self) -> bytes:
        if length := self.headers.get("Content-Length"):
            return self.rfile.read(int(length))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        return b"".join(parts)

    def _find(self, path: str) -> None:
        keyword = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}
        found = {}
        for header in self.pacs.headers():
            answer = pydicom.Dataset()
            for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "Modality"):
                setattr(answer, name, header.get(name))
            uid = str(header[keyword[path.rsplit("/", 1)[1]]].value)
            if all(str(header.get(k)) in path for k in ("StudyInstanceUID",) if "/studies/" in path):
                found[uid] = answer.to_json_dict()
        self._send(200, json.dumps(list(found.values())).encode(), "application/dicom+json")

    def _retrieve(self, uid: str, *, whole: bool) -> None:
        wanted = list(self.pacs.files.values()) if whole else [self.pacs.files[uid]]
        self.send_response(200)
        self.send_header("Content-Type", f'multipart/related; type="application/dicom"; boundary={BOUNDARY}')
        self.end_headers()
        for number, content in enumerate(wanted):
            if self.pacs.send is not None and number >= self.pacs.send:
                self._pause()
                if self.pacs.wait is None:
                    if self.pacs.torn:
                        self._part(content[: len(content) // 2])
                    return
            self._part(content + b"\r\n")
            self.wfile.flush()
        self.wfile.write(f"--{BOUNDARY}--\r\n".encode())

    def _part(self, content: bytes) -> None:
        self.wfile.write(f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode() + content)

    def _pause(self) -> None:
        self.pacs.waiting.set()
        if self.pacs.wait is not None:
            self.pacs.wait.wait(120)

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away: that is what the tests do."""


@contextmanager
def running_web_pacs(certificate: Path | None = None) -> Iterator[WebPacs]:
    pacs = WebPacs()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"pacs": pacs}))
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    pacs.address = f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_address[1]}/dicom-web"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield pacs
    finally:
        if pacs.wait is not None:
            pacs.wait.set()
        server.shutdown()
        server.server_close()
        thread.join()
