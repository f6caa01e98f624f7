"""The reference of the REST interface tells of all that the server answers."""

from __future__ import annotations

import re
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bedside.core.prompts import Box, InitialMask, Lasso, Point, Scribble, prompt_from_dict
from bedside.serve.api import build_api
from bedside.serve.prompt_messages import PROMPTS
from bedside.serve.service import Service
from docs_tools.rest import METHODS, rest_page

KINDS = {kind.model_fields["kind"].annotation.__args__[0]: kind for kind in PROMPTS}  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return build_api(cast(Service, None)).openapi()


def test_every_request_and_message_has_its_section(schema: dict[str, Any]) -> None:
    page = rest_page()
    asked = {f"### {m.upper()} {path}" for path, methods in schema["paths"].items() for m in methods if m in METHODS}
    assert len(asked) > 40
    assert asked <= set(page.splitlines())
    sections = {line.removeprefix("### ").lower() for line in page.splitlines() if line.startswith("### ")}
    linked = set(re.findall(r"\]\(#([a-z]+)\)", page))
    assert linked <= sections
    told = set(schema["components"]["schemas"])
    assert {name.lower() for name in told if not name.startswith("Body_")} <= sections


def test_the_token_is_part_of_the_description(schema: dict[str, Any]) -> None:
    assert schema["components"]["securitySchemes"]["token"] == {"type": "http", "scheme": "bearer"}
    assert schema["security"] == [{"token": []}]


def test_prompts_are_described_by_their_kinds(schema: dict[str, Any]) -> None:
    prompt = schema["components"]["schemas"]["PromptRequest"]["properties"]["prompt"]
    assert [one["properties"]["kind"]["const"] for one in prompt["oneOf"]] == [
        "point",
        "box",
        "scribble",
        "lasso",
        "mask",
    ]
    assert set(KINDS) == {kind.kind for kind in (Point, Box, Scribble, Lasso, InitialMask)}


number = st.floats(-500, 500)
place = st.lists(number, min_size=3, max_size=3)
flags = {"positive": st.booleans(), "frame": st.sampled_from(["index", "world"])}
SENT = st.one_of(
    st.fixed_dictionaries({"kind": st.just("point"), "position": place}, optional=flags),
    st.fixed_dictionaries(
        {"kind": st.just("lasso"), "points": st.lists(place, min_size=3, max_size=5)}, optional=flags
    ),
    st.fixed_dictionaries(
        {"kind": st.just("scribble"), "points": st.lists(place, min_size=1, max_size=5)},
        optional={**flags, "thickness": st.floats(0.1, 900), "connected": st.booleans()},
    ),
)


@given(SENT)
def test_what_the_description_allows_is_read_and_what_is_read_is_allowed(sent: dict[str, Any]) -> None:
    message = KINDS[sent["kind"]].model_validate(sent)
    read = prompt_from_dict(sent)
    again = KINDS[sent["kind"]].model_validate(read.to_dict())
    assert again.model_dump() == KINDS[sent["kind"]].model_validate(message.model_dump()).model_dump()


@pytest.mark.parametrize(
    "sent",
    [
        {"kind": "point", "position": [1]},
        {"kind": "point", "position": [1, 2], "colour": "red"},
        {"kind": "lasso", "points": [[1, 2], [3, 4]]},
        {"kind": "box", "low": [1, 2]},
        {"kind": "scribble", "points": []},
    ],
)
def test_what_cannot_be_read_is_not_allowed(sent: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        KINDS[sent["kind"]].model_validate(sent)
