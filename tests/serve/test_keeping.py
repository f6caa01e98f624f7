"""What the workspace keeps: a restart, a model that is gone, a file that cannot be written."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bedside.core.errors import WeightsError
from bedside.core.image import Image
from bedside.io import write_image
from bedside.serve.engines import Engines
from bedside.session.journal import Prompted
from bedside.session.workspace import Workspace

Start = Callable[..., Any]
SQUARES, CUBES = (40, 60), (12, 30, 40)


def test_the_work_is_there_after_a_restart(start: Start, volume: Path) -> None:
    server = start()
    image = server.open(volume)["image"]
    server.click(image, 12, 8, 4)
    server.ok("POST", f"/api/images/{image}/objects", {"name": "other", "colour": "#112233"})
    server.click(image, 30, 20, 8)
    server.click(image, 30, 20, 7, predict=False)
    server.ok("PATCH", f"/api/images/{image}/objects/1", {"visible": False, "locked": True})
    server.ok("PATCH", f"/api/images/{image}", {"policy": "overwrite", "current": 1})
    before = server.ok("GET", f"/api/images/{image}")
    masks = [server.mask(image, n, CUBES) for n in (1, 2)]
    server = start()
    after = server.open(volume)
    for name in ("image", "version", "objects", "current", "policy", "model", "state"):
        assert after[name] == before[name], name
    assert all(np.array_equal(server.mask(image, n, CUBES), m) for n, m in zip((1, 2), masks, strict=True))
    assert [len(g.calls) for g in server.growers] in ([], [0])
    # What waited is answered with the next prompt, as if nobody had stopped.
    change = server.click(image, 30, 21, 8, object=2)
    assert change["objects"][1]["prompts"] == 3


def test_a_workspace_that_cannot_be_written_loses_no_truth(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    connection = server.service.workspace._connection
    connection.execute("CREATE TEMP TRIGGER full BEFORE INSERT ON event BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    problem = server.rejected(
        "POST", f"/api/images/{image}/prompts", 400, {"prompt": {"kind": "point", "position": [44, 28]}}
    )
    assert "disk is full" in problem["message"]
    # What is shown is what is kept: the image is taken up from the workspace again.
    assert server.ok("GET", f"/api/images/{image}")["objects"][0]["voxels"] == 100
    connection.execute("DROP TRIGGER full")
    assert server.click(image, 44, 28)["objects"][0]["voxels"] == 164


def test_what_waits_for_an_image_that_broke_is_rejected_and_not_written(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    server.gate.reached.acquire()
    server.gate.close()
    connection = server.service.workspace._connection
    connection.execute("CREATE TEMP TRIGGER full BEFORE INSERT ON mask BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    prompt = {"prompt": {"kind": "point", "position": [44, 28]}}
    answers: dict[str, str] = {}

    def ask(method: str, path: str, body: Any) -> None:
        answers[method] = server.client.request(method, f"/api/images/{image}{path}", json=body).json()["message"]

    threads = [threading.Thread(target=ask, args=("POST", "/prompts", prompt))]
    threads[0].start()
    assert server.gate.reached.acquire(timeout=10)
    threads.append(threading.Thread(target=ask, args=("PATCH", "/objects/1", {"name": "late"})))
    threads[1].start()
    while not server.service.worker.waiting:
        threading.Event().wait(0.005)
    server.gate.open()
    for thread in threads:
        thread.join(20)
    assert "disk is full" in answers["POST"]
    assert "opens again" in answers["PATCH"]
    connection.execute("DROP TRIGGER full")
    assert server.ok("GET", f"/api/images/{image}")["objects"][0]["name"] == "object 1"


def test_estimates_are_kept_with_the_masks(start: Start, picture: Path) -> None:
    server = start(engines=Engines())
    image = server.open(picture)["image"]
    (made,) = server.click(image, 12, 8)["objects"]
    assert 0 < made["quality"] <= 1
    server.ok("PATCH", f"/api/images/{image}/objects/1", {"name": "named after it was answered"})
    server = start(engines=Engines())
    (again,) = server.open(picture)["objects"]
    assert (again["voxels"], again["quality"]) == (made["voxels"], made["quality"])


def test_work_of_a_model_that_is_gone_is_shown_and_can_be_painted(start: Start, picture: Path, tools: Any) -> None:
    def gone(name: str) -> Any:
        raise WeightsError(f"weights of '{name}'", got="none", fix=f"bedside weights pull {name}")

    server = start()
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    server.ok("POST", f"/api/images/{image}/objects", {"name": "other"})
    server.click(image, 44, 28)
    mask = server.mask(image, 1, SQUARES)
    server = start(engines=Engines(gone))
    opened = server.open(picture)
    assert "bedside-2d" in opened["model_problem"]
    assert "bedside weights pull" in opened["model_problem"]
    assert [o["voxels"] for o in opened["objects"]] == [100, 64]
    assert np.array_equal(server.mask(image, 1, SQUARES), mask)
    # Only what the model would have to answer is rejected, and by its name.
    click = {"prompt": {"kind": "point", "position": [12, 9]}, "object": 1}
    problem = server.rejected("POST", f"/api/images/{image}/prompts", 503, click)
    assert "bedside-2d" in problem["message"]
    assert server.ok("GET", f"/api/images/{image}/objects")["objects"] == opened["objects"]
    stroke = {"box": {"start": [5, 10], "stop": [6, 12]}, "bits": tools.bits([[0, 0]]), "object": 2}
    server.ok("POST", f"/api/images/{image}/brush", {**stroke, "object": 1})
    server.ok("PATCH", f"/api/images/{image}/objects/2", {"name": "renamed"})
    mask[5, 10:12] = 0
    server = start(engines=Engines(gone))
    assert server.open(picture)["objects"][1]["name"] == "renamed"
    assert np.array_equal(server.mask(image, 1, SQUARES), mask)
    # Back again, it goes on where it was.
    server = start()
    assert server.open(picture)["model_problem"] is None
    assert np.array_equal(server.mask(image, 1, SQUARES), mask)
    assert server.click(image, 44, 28, object=1)["objects"][0]["prompts"] == 3


def as_a_kill_leaves_it(server: Any, folder: Path) -> Workspace:
    """The workspace as it lies on the disk at this moment, opened by another process's eyes."""
    path = server.service.workspace.path
    folder.mkdir()
    for suffix in ("", "-wal"):
        if (source := path.with_name(path.name + suffix)).exists():
            shutil.copy(source, folder / source.name)
    return Workspace(folder / path.name)


def prompts_kept(workspace: Workspace, image: int) -> list[list[tuple[float, ...]]]:
    journal, _ = workspace.journal(image)
    return [[e.prompt.position for e in o.events if isinstance(e, Prompted)] for o in journal.objects]


def test_a_prompt_is_on_disk_before_the_network_is_asked(start: Start, picture: Path, tmp_path: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.gate.close()
    thread = threading.Thread(target=server.click, args=(image, 12, 8))
    thread.start()
    assert server.gate.reached.acquire(timeout=10)
    killed = as_a_kill_leaves_it(server, tmp_path / "killed")
    server.gate.open()
    thread.join(20)
    assert prompts_kept(killed, image) == [[(12.0, 8.0)]]
    killed.close()
    # Opened again, what the network did not come to is answered then.
    shutil.copytree(tmp_path / "killed", tmp_path / "state", dirs_exist_ok=True)
    server = start()
    (again,) = server.open(picture)["objects"]
    assert (again["voxels"], again["prompts"]) == (100, 1)


def test_a_prompt_that_the_network_fails_on_never_happened(start: Start, picture: Path, tmp_path: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    server.growers[0].fail = True
    server.rejected("POST", f"/api/images/{image}/prompts", 500, {"prompt": {"kind": "point", "position": [44, 28]}})
    kept = as_a_kill_leaves_it(server, tmp_path / "copy")
    assert prompts_kept(kept, image) == [[(12.0, 8.0)]]
    kept.close()
    server.growers[0].fail = False
    assert server.click(image, 44, 28)["objects"][0]["voxels"] == 164
    server = start()
    assert server.open(picture)["objects"][0]["prompts"] == 2


def test_what_is_acknowledged_as_superseded_is_kept_when_the_save_fails(
    start: Start, picture: Path, tmp_path: Path
) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    other = server.ok("POST", "/api/sample")["image"]
    while server.gate.reached.acquire(blocking=False):
        pass
    server.gate.close()
    outcomes: dict[int, Any] = {}

    def ask(number: int, *position: int) -> None:
        body = {"prompt": {"kind": "point", "position": position}}
        outcomes[position[0]] = server.client.post(f"/api/images/{number}/prompts", json=body).json()

    threads = [threading.Thread(target=ask, args=(other, 60, 70, 28))]
    threads[0].start()
    assert server.gate.reached.acquire(timeout=10)
    for waiting, x in ((1, 45), (2, 46)):
        threads.append(threading.Thread(target=ask, args=(image, x, 28)))
        threads[-1].start()
        while server.service.worker.waiting < waiting:
            threading.Event().wait(0.005)
    connection = server.service.workspace._connection
    full = f"WHEN NEW.image = {image} BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
    connection.execute(f"CREATE TEMP TRIGGER full BEFORE INSERT ON mask {full}")
    server.gate.open()
    for thread in threads:
        thread.join(20)
    assert outcomes[45]["superseded"] is True
    assert "disk is full" in outcomes[46]["message"]
    kept = as_a_kill_leaves_it(server, tmp_path / "copy")
    assert (45.0, 28.0) in prompts_kept(kept, image)[0]
    kept.close()


def test_a_file_replaced_by_one_of_equal_size_and_time_is_another_image(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    for seed in (0, 1):
        noise = np.random.default_rng(seed).integers(0, 2, (16, 16), dtype=np.uint8) * 255
        path.write_bytes(b"")
        write_image(path, Image.from_array(noise))
        # Text beside the samples makes both files equally long.
        path.write_bytes(path.read_bytes().ljust(2000, b"\0"))
        os.utime(path, (1_700_000_000, 1_700_000_000))
        server = start()
        opened = server.open(path)
        if seed == 0:
            first = opened["image"]
            server.click(first, 12, 8)
    assert opened["image"] != first
    assert opened["objects"] == []
