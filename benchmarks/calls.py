"""How much of Bedside runs for one request: files, functions and calls, counted by ``sys.setprofile``.

Three requests, each in a process of its own: ``bedside segment`` of a volume from a click; a click on the page, on a
server that has answered before; and one case of the protocol ``interactive2025``. A function counts once however often
it is called; what runs while a module is imported does not count, and a comprehension belongs to its function.

    python benchmarks/calls.py                      # the package that is installed
    PYTHONPATH=OLDER/src python benchmarks/calls.py --json older.json
    python benchmarks/calls.py --before older.json  # both, with the share that is left
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import inspect
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

import bedside

ROOT = str(Path(bedside.__file__).parent) + os.sep
TOKEN = "token-of-the-benchmark-of-calls"
SHAPE = (24, 64, 72)
MODEL = "bedside-3d"
WATCHED = ("place_prompt", "capabilities")
"""Functions whose calls are told one by one."""


class Count:
    """Functions of the package that ran, and how often each was called."""

    def __init__(self) -> None:
        self.calls: Counter[CodeType] = Counter()

    def see(self, frame: FrameType, event: str, argument: object) -> None:
        """Called by the interpreter."""
        del argument
        code = frame.f_code
        # The bodies of modules and classes are run without this flag.
        if event == "call" and code.co_filename.startswith(ROOT) and code.co_flags & inspect.CO_OPTIMIZED:
            self.calls[code] += 1

    def summary(self, detailed: bool) -> dict[str, Any]:
        """Plain values, for JSON."""
        functions = {c: n for c, n in self.calls.items() if not c.co_name.startswith("<")}
        found: dict[str, Any] = {
            "files": len({c.co_filename for c in functions}),
            "functions": len(functions),
            "calls": sum(functions.values()),
            "watched": {name: sum(n for c, n in functions.items() if c.co_name == name) for name in WATCHED},
            "cards": sum(n for c, n in functions.items() if c.co_filename.endswith("card.py") and c.co_name == "load"),
        }
        if detailed:
            found["by file"] = {
                name.removeprefix(ROOT): sorted(
                    f"{c.co_qualname} {n}" for c, n in functions.items() if c.co_filename == name
                )
                for name in sorted({c.co_filename for c in functions})
            }
        return found


@contextlib.contextmanager
def counting() -> Iterator[Count]:
    """Count what this thread, and threads that begin meanwhile, run."""
    count = Count()
    threading.setprofile(count.see)
    sys.setprofile(count.see)
    try:
        yield count
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def volume() -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """A bright ball in noise (z, y, x), and where it is."""
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    ball = ((z - 12) * 2) ** 2 + (y - 30) ** 2 + (x - 36) ** 2 < 14**2
    noise = np.random.default_rng(0).normal(0, 20, SHAPE)
    return (noise + 150 * ball).astype(np.int16), ball.astype(np.uint8)


def scan(folder: Path) -> Path:
    """The volume as a NIfTI file."""
    import nibabel

    path = folder / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(volume()[0].T, np.diag([1.0, 1.0, 2.0, 1.0])), path)
    return path


def segment(folder: Path) -> Count:
    """``bedside segment scan.nii.gz --point 36,30,12 -o mask.nii.gz``."""
    from bedside.cli.main import execute

    arguments = ["segment", str(scan(folder)), "--point", "36,30,12", "-o", str(folder / "mask.nii.gz")]
    with counting() as count:
        assert execute(arguments) == 0
    return count


def interactive(folder: Path) -> Count:
    """One case of interactive2025 with the model for volumes."""
    from bedside.cli.main import execute

    image, truth = volume()
    grey = np.clip(image + 60, 0, 255).astype(np.uint8)
    box = np.array([{"z_min": 5, "z_max": 19, "z_mid": 12, "z_mid_x_min": 22, "z_mid_x_max": 50,
                     "z_mid_y_min": 16, "z_mid_y_max": 44}], dtype=object)  # fmt: skip
    cases = folder / "cases"
    cases.mkdir()
    np.savez_compressed(cases / "CT_ball.npz", imgs=grey, gts=truth, spacing=np.array([2.0, 1.0, 1.0]), boxes=box)
    arguments = ["evaluate", "--protocol", "interactive2025", "--data", str(cases), "--model", MODEL]
    with counting() as count:
        assert execute(arguments) == 0
    return count


def page_click(folder: Path) -> Count:
    """The second click on an image, over the page's REST API."""
    # Before the server's thread begins, which has to be seen from its first function on.
    import uvicorn

    from bedside.serve.app import Application
    from bedside.serve.service import Service, ServiceConfig
    from bedside.session.workspace import Workspace

    gate = Gate()
    threading.setprofile(gate.see)
    path = scan(folder)
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    settings = ServiceConfig(model=MODEL, warm_up=False, prepare_after=None)

    def make() -> Service:
        return Service(Workspace(folder / "workspace.sqlite"), settings)

    application = Application(make, port, TOKEN, folder)
    server = uvicorn.Server(uvicorn.Config(application, log_level="error", lifespan="on"))
    thread = threading.Thread(target=asyncio.run, args=(server.serve([listening]),))
    thread.start()
    try:
        image = ask(port, "/api/images", {"path": str(path)})["image"]
        click(port, image, [36, 30, 12])
        gate.open = True
        click(port, image, [30, 34, 12])
        gate.open = False
    finally:
        threading.setprofile(None)
        server.should_exit = True
        thread.join()
    return gate


class Gate(Count):
    """Counts only while it is open."""

    open = False

    def see(self, frame: FrameType, event: str, argument: object) -> None:
        """Called by the interpreter."""
        if self.open:
            super().see(frame, event, argument)


def click(port: int, image: int, position: list[int]) -> None:
    """A click on the object."""
    ask(port, f"/api/images/{image}/prompts", {"prompt": {"kind": "point", "position": position}})


def ask(port: int, path: str, body: dict[str, Any]) -> Any:
    """The JSON of an answer."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request) as answer:
        return json.load(answer)


REQUESTS: dict[str, Callable[[Path], Count]] = {
    "segment": segment,
    "page click": page_click,
    "interactive2025": interactive,
}


def measure(name: str, detailed: bool) -> dict[str, Any]:
    """The counts of one request in a process of its own."""
    command = [sys.executable, __file__, "--only", name, *(["--detailed"] if detailed else [])]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(result.stderr)
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=REQUESTS, help=argparse.SUPPRESS)
    parser.add_argument("--detailed", action="store_true", help="keep the functions of each file in the JSON")
    parser.add_argument("--json", type=Path, help="write the counts")
    parser.add_argument("--before", type=Path, help="counts of another version to compare with")
    options = parser.parse_args()
    if options.only:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(REQUESTS[options.only](Path(folder)).summary(options.detailed)))
        return
    counts = {name: measure(name, options.detailed) for name in REQUESTS}
    if options.json:
        options.json.write_text(json.dumps(counts, indent=1) + "\n")
    before = json.loads(options.before.read_text()) if options.before else {}
    for name, count in counts.items():
        words = []
        for what in ("files", "functions", "calls"):
            old = before.get(name, {}).get(what)
            words.append(f"{count[what]} {what}" + (f" (of {old}, {count[what] / old:.0%})" if old else ""))
        watched = ", ".join(f"{n} {k}" for k, n in count["watched"].items())
        print(f"{name:16} {', '.join(words)}; {watched}, cards read {count['cards']}")


if __name__ == "__main__":
    main()
