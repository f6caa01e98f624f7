"""Models: another one, one that is not there, one that fails, and what it suggests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bedside.serve.engines import Engines

Start = Callable[..., Any]
SQUARES = (40, 60)


def test_a_model_that_does_not_suggest_says_so(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    problem = server.rejected("POST", f"/api/images/{image}/objects/1/suggest", 409)
    assert (problem["kind"], "bedside-2d does not suggest" in problem["what"]) == ("NotOfferedError", True)
    assert server.ok("GET", f"/api/images/{image}")["tools"]["suggest"] is False


def test_a_suggested_click_can_be_sent_as_it_is(start: Start, picture: Path) -> None:
    server = start(engines=Engines())
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    assert server.ok("GET", f"/api/images/{image}")["tools"]["suggest"] is True
    prompt = server.ok("POST", f"/api/images/{image}/objects/1/suggest")["prompt"]
    if prompt is not None:
        server.ok("POST", f"/api/images/{image}/prompts", {"prompt": prompt})


def test_another_model_answers_all_prompts_anew(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    change = server.ok("PATCH", f"/api/images/{image}", {"model": "bedside-3d"})
    assert [g.name for g in server.growers] == ["bedside-2d", "bedside-3d"]
    assert len(server.growers[1].calls) == 1
    assert change["objects"][0]["voxels"] == 100
    assert server.ok("GET", f"/api/images/{image}")["model"] == "bedside-3d"
    server = start()
    assert server.open(picture)["model"] == "bedside-3d"
    # Kept with the model that made it, so nobody is asked again.
    assert server.mask(image, 1, SQUARES).sum() == 100
    assert sum(len(g.calls) for g in server.growers) == 0


def test_a_model_that_cannot_be_loaded_leaves_everything_as_it_was(start: Start, picture: Path) -> None:
    server = start(engines=Engines())
    image = server.open(picture)["image"]
    change = server.click(image, 12, 8)
    server.rejected("PATCH", f"/api/images/{image}", 400, {"model": "no-such-model"})
    missing = next(m for m in server.ok("GET", "/api/models")["models"] if not m["available"])
    assert missing["reason"]
    server.rejected("PATCH", f"/api/images/{image}", 503, {"model": missing["name"]})
    found = server.ok("GET", f"/api/images/{image}")
    assert (found["model"], found["objects"], found["version"]) == ("bedside-2d", change["objects"], change["version"])


def test_a_runtime_that_fails_is_no_traceback(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    server.growers[0].fail = True
    click = {"prompt": {"kind": "point", "position": [44, 28]}}
    assert server.rejected("POST", f"/api/images/{image}/prompts", 500, click)["kind"] == "InternalError"
    server.growers[0].fail = False
    assert server.click(image, 44, 28)["objects"][0]["voxels"] == 164


def test_other_sizes_that_a_click_may_mean(start: Start, picture: Path) -> None:
    server = start(engines=Engines())
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    assert server.ok("GET", f"/api/images/{image}")["tools"]["candidates"] is True
    prompts = server.ok("GET", f"/api/images/{image}/objects/1/prompts")["prompts"]
    first = server.ok("GET", f"/api/images/{image}/objects")["objects"][0]["voxels"]
    sizes = []
    for _ in range(3):
        change = server.ok("POST", f"/api/images/{image}/objects/1/next-candidate")
        sizes.append(change["objects"][0]["voxels"])
        if sizes[-1] == first:
            break
    # After the last comes the first again, made from the click alone.
    assert sizes[-1] == first
    assert server.ok("GET", f"/api/images/{image}/objects/1/prompts")["prompts"] == prompts


def test_a_model_that_proposes_no_sizes_says_so(start: Start, picture: Path) -> None:
    server = start()
    image = server.open(picture)["image"]
    server.click(image, 12, 8)
    problem = server.rejected("POST", f"/api/images/{image}/objects/1/next-candidate", 409)
    assert (problem["kind"], "proposes no other masks" in problem["what"]) == ("NotOfferedError", True)
    assert server.ok("GET", f"/api/images/{image}")["tools"]["candidates"] is False
