"""Scripts of user addons, as a test writes them, and requests over both protocols."""

from pathlib import Path
from textwrap import dedent
from typing import Any

from tests import world
from tests.engine.harness import Response, Running, get, request
from tests.engine.http2 import Http2Client, get_fields

PROTOCOLS = ("1.1", "2")


def script(directory: Path, text: str, name: str = "addon.py") -> Path:
    """Write a script; mitmproxy's http and the lists `seen` and `done` are there."""
    path = directory / name
    path.write_text("from mitmproxy import http\nseen = []\n" + dedent(text))
    return path


def scope(up: Running, place: int = 0) -> dict[str, Any]:
    """Give the names of the script in which an addon's hooks were written."""
    assert up.master.user_addons is not None
    hook = next(iter(up.master.user_addons.parts[place].hooks.values()))
    return getattr(hook, "__globals__", {})


def hurry(up: Running, seconds: float) -> None:
    """Give hooks so little time."""
    assert up.master.user_addons is not None
    up.master.user_addons.hook_seconds = seconds


async def post(up: Running, protocol: str, made: world.World | None = None) -> Response:
    """Send the world's request on a connection of its own."""
    if protocol == "1.1":
        return await up.send(request(made))
    async with Http2Client(up) as client:
        return await client.answer(client.post(made))


async def read(up: Running, protocol: str, **fields: str | None) -> Response:
    """Send a GET that passes, but for the fields that are changed."""
    if protocol == "1.1":
        return await up.send(get(**fields))
    async with Http2Client(up) as client:
        listed = [line for line in get_fields() if line[0] not in fields]
        return await client.answer(client.begin([*listed, *((n, v) for n, v in fields.items() if v is not None)]))


def detail(up: Running, kind: str = "decision") -> str:
    """Give the diagnosis in the last record of a kind."""
    return str(up.records(kind)[-1].get("status_detail", ""))
