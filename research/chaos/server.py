"""The server of the page, killed while a client prompts: what it acknowledged is there, and masks follow from it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.prompts import Point
from bedside.io import write_image
from bedside.session import Session
from bedside.session.journal import ObjectJournal, history
from bedside.session.workspace import Workspace
from research.chaos.children import run_child
from research.chaos.commands import Tally

TOKEN = "the-token-of-the-chaos"
SIDE = 160
LONGEST = 4.0
"""Seconds of prompting before a kill, at most."""


@dataclass
class Asked:
    """What one client asked for, and what it was told.

    Attributes:
        sent: Clicks by the name of their request.
        taken: Names of those that were acknowledged, as answered or superseded.
        cancelled: Names of those that were said to be stopped.
        voxels: Of the object, by the last answer.
        prompts: Prompts in force by the last answer.
    """

    sent: dict[str, tuple[float, float]] = field(default_factory=dict)
    taken: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    voxels: int = 0
    prompts: int = 0


class Server:
    """``bedside ui`` under fire, on one workspace that outlives it.

    Args:
        folder: Empty.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tally = Tally()
        random = np.random.default_rng(1)
        array = random.normal(60, 8, (SIDE, SIDE))
        array[30:110, 40:120] += 110
        self.image = folder / "image.png"
        write_image(self.image, Image(array.clip(0, 255).astype(np.uint8), Geometry.create(array.shape)))

    def round(self, random: Random) -> None:
        """Start it, prompt, kill it, and look at the workspace and at what the next server says of it."""
        # A new workspace now and then, so that journals stay as long as those of people.
        if random.random() < 0.1:
            shutil.rmtree(self.folder / "state", ignore_errors=True)
        process, url = self._start()
        try:
            image = int(_ask(url, "api/images", {"path": str(self.image)})["image"])
            number = int(_ask(url, f"api/images/{image}/objects", {})["object"])
            asked = Asked()
            client = threading.Thread(target=_prompt, args=(url, image, number, Random(random.random()), asked))
            client.start()
            time.sleep(random.uniform(0, LONGEST))
            process.send_signal(signal.SIGKILL)
            process.wait()
            client.join(30)
            self.tally.kills += 1
        finally:
            process.kill()
            process.wait()
        self._look(image, number, asked)

    def _look(self, image: int, number: int, asked: Asked) -> None:
        file = self.folder / "state" / "w.sqlite"
        with contextlib.closing(sqlite3.connect(file)) as connection:
            whole = connection.execute("PRAGMA integrity_check").fetchone()[0]
        if whole != "ok":
            self.tally.fail("wrong", f"the workspace is damaged: {whole}")
        workspace = Workspace(file)
        journal, _ = workspace.journal(image)
        workspace.close()
        item = next((o for o in journal.objects if o.id == number), None)
        if item is None:
            self.tally.fail("lost", f"object {number}, which was acknowledged")
            return
        kept = [p.prompt.position for p in history(item.events).prompts if isinstance(p.prompt, Point)]
        for name in asked.taken:
            if asked.sent[name] not in kept:
                self.tally.fail("lost", f"click {name}, which was acknowledged")
        for name in asked.cancelled:
            if asked.sent[name] in kept:
                self.tally.fail("wrong", f"click {name} is there, which was said to be stopped")
        places: list[tuple[float, ...]] = list(asked.sent.values())
        order = [places.index(position) for position in kept]
        if order != sorted(order):
            self.tally.fail("wrong", "the clicks are in another order")
        self._look_again(image, number, item, asked, len(kept))

    def _look_again(self, image: int, number: int, item: ObjectJournal, asked: Asked, kept: int) -> None:
        """Compare what the next server shows with a session that replays the journal."""
        process, url = self._start()
        try:
            _ask(url, "api/images", {"path": str(self.image)})
            shown = next(o for o in _ask(url, f"api/images/{image}/objects")["objects"] if o["id"] == number)
        finally:
            process.kill()
            process.wait()
        if kept == asked.prompts and shown["voxels"] != asked.voxels:
            self.tally.fail("wrong", f"{shown['voxels']} voxels, where {asked.voxels} were acknowledged")
        voxels = self._replayed(item)
        if shown["voxels"] != voxels:
            self.tally.fail("wrong", f"{shown['voxels']} voxels, where the journal makes {voxels}")

    def _replayed(self, item: ObjectJournal) -> int:
        """Return the voxels that the journal of an object makes; in a child, as threads outlive no fork."""

        def replay() -> int:
            session = Session(self.image)
            for entry in history(item.events).prompts:
                session.add(entry.prompt, predict=entry.predict)
            print(int(session.mask.sum()))
            return 0

        return int(run_child(replay, None, self.folder / "replay.txt").said.split()[-1])

    def _start(self) -> tuple[subprocess.Popen[bytes], str]:
        command = [sys.executable, "-m", "bedside.cli.main", "ui", "--no-browser", "--port", "0"]
        kept = self.folder / "state" / "w.sqlite"
        environment = {**os.environ, "BEDSIDE_TOKEN": TOKEN, "BEDSIDE_WORKSPACE": str(kept)}
        log = (self.folder / "log.txt").open("ab")
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log)
        log.close()
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        if not line:
            raise RuntimeError(f"the server does not start: {(self.folder / 'log.txt').read_text()[-500:]}")
        return process, line.split()[-1].split("?")[0]


def _ask(url: str, path: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url + path, data, headers), timeout=120) as answer:
        return json.loads(answer.read())


def _prompt(url: str, image: int, number: int, random: Random, asked: Asked) -> None:
    """Click as fast as the server takes it, a few at a time, and stop one now and then, until the server is gone."""
    address = url.replace("http", "ws") + f"api/images/{image}/ws"
    with (
        contextlib.suppress(ConnectionClosed, OSError, TimeoutError),
        connect(address, additional_headers={"Authorization": f"Bearer {TOKEN}"}, max_size=None) as socket,
    ):
        waiting: set[str] = set()
        while True:
            while len(waiting) < random.randint(1, 4):
                name = str(len(asked.sent))
                # No two are at one place, so that each is told from all others.
                place = (40 + len(asked.sent) * 7 % 80 + random.random(), 30 + random.random() * 79)
                asked.sent[name] = place
                waiting.add(name)
                prompt = {"kind": "point", "position": place}
                socket.send(json.dumps({"type": "prompt", "request": name, "object": number, "prompt": prompt}))
                if random.random() < 0.2:
                    socket.send(json.dumps({"type": "cancel", "request": random.choice(sorted(waiting))}))
            message = json.loads(socket.recv(timeout=60))
            kind, name = message["type"], message.get("request")
            if kind in ("answer", "superseded", "cancelled", "error"):
                waiting.discard(name)
            if kind in ("answer", "superseded"):
                asked.taken.append(name)
            if kind == "cancelled":
                asked.cancelled.append(name)
            if kind == "answer":
                seen = next(o for o in message["change"]["objects"] if o["id"] == number)
                asked.voxels, asked.prompts = seen["voxels"], seen["prompts"]
