"""The reference of the server's REST interface and WebSocket, written from its messages when the site is built."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any, cast

INTRODUCTION = """# REST and WebSocket

What `bedside ui` answers below `/api`, on the machine that it runs on; `/api/openapi.json` says the same to programs.
In Python there is a [client](../how-to/client.md).

- The token goes with every request: `Authorization: Bearer TOKEN`. It is in the address that the command prints, and
  in its `--token-file`.
- Bodies are JSON, but for files that are sent. A body of a misspelt field is rejected.
- Every answer that is an error has the body [Problem](#problem).
- Coordinates of prompts are (x, y[, z]); shapes and boxes of voxels are in array order ([z, ]y, x), half open.
- Binary fields are base64 of zlib: `bits` are a 0/1 mask packed eight voxels a byte, the first voxel in the highest
  bit; `labels` are the numbers of objects, one or two bytes a voxel, little endian; both in C order of their box.
"""
METHODS = ("get", "post", "put", "patch", "delete")


def rest_page() -> str:
    """Write the page in Markdown: requests by subject, the WebSocket, and all messages with their fields."""
    from bedside.serve.api import build_api
    from bedside.serve.service import Service

    schema: dict[str, Any] = build_api(cast(Service, None)).openapi()
    return "\n".join([INTRODUCTION, *_requests(schema), *_socket(), *_messages()])


def _requests(schema: dict[str, Any]) -> Iterator[str]:
    subjects: dict[str, list[str]] = {}
    for path, methods in schema["paths"].items():
        for method, told in methods.items():
            if method in METHODS:
                subject = (told.get("tags") or ["start"])[0]
                subjects.setdefault(subject, []).append("\n".join(_request(method, path, told)))
    for subject, sections in subjects.items():
        yield f"## {subject.capitalize()}\n"
        yield from sections


def _request(method: str, path: str, told: dict[str, Any]) -> Iterator[str]:
    yield f"### {method.upper()} {path}\n"
    yield from (f"{_code_free(paragraph)}\n" for paragraph in _paragraphs(told.get("description", "")))
    queries = [p for p in told.get("parameters", []) if p["in"] == "query"]
    if queries:
        names = ", ".join(f"`{p['name']}` ({_type(p['schema'])})" for p in queries)
        yield f"In the address: {names}.\n"
    contents = told.get("requestBody", {}).get("content", {})
    bodies = [_type(c["schema"]) if k == "application/json" else "files (multipart)" for k, c in contents.items()]
    back = told["responses"].get("200", {}).get("content", {})
    answers = [
        _type(c["schema"]) if k == "application/json" else f"`{k}`" for k, c in back.items() if c.get("schema", 1)
    ]
    told_answer = " or ".join(answers) or "nothing"
    yield f"{'Body: ' + ' or '.join(bodies) + '. ' if bodies else ''}Answer: {told_answer}.\n"


def _socket() -> Iterator[str]:
    from bedside.serve import socket_messages

    yield "## WebSocket /api/images/{image}/ws\n"
    yield "Prompts in, answers and news of what others did out, as JSON messages that `type` tells apart.\n"
    for name, kind in vars(socket_messages).items():
        if name.startswith("Socket") and isinstance(kind, type):
            yield f"- [{name}](#{name.lower()}): {_code_free(_summary(kind))}"
    yield ""


def _messages() -> Iterator[str]:
    from bedside.serve.message import Message

    yield "## Messages\n"
    found: dict[str, type[Any]] = {}
    waiting: list[type[Any]] = [Message]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            found[kind.__name__] = kind
            waiting.append(kind)
    for name in sorted(found):
        yield from _message(name, found[name])


def _message(name: str, kind: type[Any]) -> Iterator[str]:
    yield f"### {name}\n"
    yield from (
        f"{_code_free(paragraph)}\n" for paragraph in _paragraphs((kind.__doc__ or "").partition("Attributes:")[0])
    )
    meanings = {n: m for parent in reversed(kind.__mro__) for n, m in _attributes(parent.__doc__ or "").items()}
    properties = kind.model_json_schema().get("properties", {})
    if properties:
        yield "| field | type | meaning |\n|---|---|---|"
        yield from (f"| `{n}` | {_type(p)} | {_code_free(meanings.get(n, ''))} |" for n, p in properties.items())
        yield ""


def _type(schema: dict[str, Any]) -> str:
    """Return a type as words, with links to other messages."""
    if "$ref" in schema:
        return _link(schema["$ref"].rpartition("/")[2])
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        named = all(one.get("type") == "object" and "title" in one for one in choices)
        return " or ".join(dict.fromkeys(_link(one["title"]) if named else _type(one) for one in choices))
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if values:
        return " or ".join(f'`"{value}"`' for value in values)
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return {"null": "none", "integer": "whole number"}.get(kind, str(kind))


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()})"


def _attributes(doc: str) -> dict[str, str]:
    """Return what the section Attributes of a docstring says of each."""
    section = re.split(r"\n\s*\n", doc.partition("Attributes:")[2].strip("\n"))[0]
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        begun = re.match(r"\s{8}(\w+): (.*)", line)
        if begun:
            name = begun[1]
            found[name] = begun[2]
        elif name:
            found[name] += f" {line.strip()}"
    return found


def _summary(kind: type[Any]) -> str:
    return _paragraphs((kind.__doc__ or "").partition("Attributes:")[0])[0]


def _paragraphs(text: str) -> list[str]:
    return [" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text.strip()) if paragraph.strip()]


def _code_free(text: str) -> str:
    """Return a text of a docstring as Markdown that says the same."""
    plain = html.escape(text.replace("``", "`"), quote=False)
    return re.sub(r"([*_|\[\]])", r"\\\1", plain) if "`" not in plain else plain.replace("|", "\\|")


if __name__ == "__main__":
    print(rest_page())
