"""An upstream of several endpoints: turns, endpoints that fail and come back, and what is never sent twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.core.policy import Endpoint
from gateway.core.reasons import Reason
from gateway.engine.endpoints import FIRST_PAUSE
from tests.engine import pki
from tests.engine.harness import Response, Running, get, read_response, request, running, serving
from tests.engine.http2 import Http2Client, get_fields
from tests.engine.services import served
from tests.engine.upstream import FakeUpstream


@dataclass
class Two:
    """A gate before an upstream of two endpoints."""

    up: Running
    first: FakeUpstream
    second: FakeUpstream

    @property
    def seen(self) -> tuple[int, int]:
        """Requests that reached each endpoint."""
        return len(self.first.requests), len(self.second.requests)

    @property
    def told(self) -> list[tuple[str, str]]:
        """What the log says of failing endpoints."""
        records = [record for record in self.up.records() if "control" in record.get("unmapped", {})]
        return [(record["metadata"]["event_code"], record["unmapped"]["control"]) for record in records]

    async def ask(self, count: int) -> set[int]:
        """Send so many requests, each on a connection of its own; gives the statuses."""
        return {(await self.up.send(get())).status for _ in range(count)}


def control(upstream: FakeUpstream, scheme: str = "http") -> str:
    return f"upstream:psp {scheme}://127.0.0.1:{upstream.port}"


@asynccontextmanager
async def two(directory: Path, *, upstream_tls: bool = False, **to: Any) -> AsyncIterator[Two]:
    """Bring up a gate before two endpoints; what reaches the second one is checked as the harness does the first."""
    pki.write(directory)
    context = pki.upstream_context(directory) if upstream_tls else None
    async with serving(context) as first, serving(context) as second:
        endpoints = tuple(Endpoint("127.0.0.1", one.port) for one in (first, second))
        async with running(directory, upstream_tls=upstream_tls, to={"endpoints": endpoints, **to}) as up:
            yield Two(up, first, second)
        decided = {event.request_id for event in up.decisions() if event.decision.allowed}
        reached = first.request_ids + second.request_ids
        assert len(reached) == len(set(reached)), "sent twice"
        assert set(reached) <= decided


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Two]:
    async with two(tmp_path) as made:
        yield made


async def test_endpoints_take_turns(pair: Two) -> None:
    assert await pair.ask(6) == {200}
    assert pair.seen == (3, 3)
    assert pair.told == []


async def test_an_endpoint_that_is_down_is_left_out(pair: Two) -> None:
    await pair.first.stop()

    assert await pair.ask(4) == {200}

    assert pair.seen == (0, 4)
    assert pair.up.finished == [Reason.ALLOWED] * 4
    assert pair.told == [("control.failed", control(pair.first))]


async def test_an_endpoint_that_comes_back_is_used_again(pair: Two) -> None:
    await pair.first.stop()
    await pair.ask(2)
    await pair.first.restart()
    assert await pair.ask(2) == {200}
    assert pair.seen == (0, 4)

    pair.up.time.ahead += FIRST_PAUSE

    assert await pair.ask(4) == {200}
    assert pair.seen == (2, 6)
    assert pair.told == [("control.failed", control(pair.first)), ("control.recovered", control(pair.first))]


async def test_where_all_endpoints_are_down_each_request_tries(pair: Two) -> None:
    for one in (pair.first, pair.second):
        await one.stop()

    assert await pair.ask(2) == {502}

    assert pair.up.finished == [Reason.UPSTREAM_UNREACHABLE] * 2
    details = {part for outcome in pair.up.outcomes() for part in outcome.detail.split("; ")}
    assert details == {f"http://127.0.0.1:{one.port}: connection refused" for one in (pair.first, pair.second)}
    assert sorted(pair.told) == sorted(("control.failed", control(one)) for one in (pair.first, pair.second))

    await pair.second.restart()
    assert await pair.ask(2) == {200}
    assert pair.told[-1] == ("control.recovered", control(pair.second))


async def test_one_endpoint_that_fails_is_recorded_too(up: Running) -> None:
    await up.upstream.stop()
    for _ in range(2):
        assert (await up.send(get())).status == 502
    await up.upstream.restart()
    assert (await up.send(get())).status == 200

    told = [kind for record in up.records() if (kind := record["metadata"]["event_code"]).startswith("control.")]
    assert told == ["control.failed", "control.recovered"]


async def test_http2_uses_the_endpoints_too(pair: Two) -> None:
    async with Http2Client(pair.up) as client:
        for _ in range(4):
            assert (await client.answer(client.begin(get_fields()))).status == 200
        assert pair.seen == (2, 2)
        await pair.second.stop()
        for _ in range(4):
            assert (await client.answer(client.begin(get_fields()))).status == 200
    assert pair.seen == (6, 2)
    assert pair.told == [("control.failed", control(pair.second))]


async def test_what_one_path_learns_the_other_knows(pair: Two) -> None:
    await pair.first.stop()
    async with Http2Client(pair.up) as client:
        await client.answer(client.begin(get_fields()))
    await pair.first.restart()

    assert await pair.ask(3) == {200}

    assert pair.seen == (0, 4)


async def test_an_endpoint_that_cannot_prove_its_name_is_left_out(tmp_path: Path) -> None:
    async with two(tmp_path, upstream_tls=True) as pair:
        pki.write(tmp_path)
        other = pki.upstream_context(tmp_path)
        other.load_cert_chain(tmp_path / "server.pem")  # of another CA
        await pair.first.stop()
        await pair.first.start(other, port=pair.first.port)

        assert await pair.ask(2) == {200}

        assert pair.seen == (0, 2)
        assert pair.told == [("control.failed", control(pair.first, "https"))]


async def test_an_endpoint_that_answers_with_errors_stays(pair: Two) -> None:
    pair.first.answer = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
    assert await pair.ask(4) == {200, 503}
    assert pair.seen == (2, 2)
    assert pair.told == []


async def test_an_endpoint_that_failed_and_is_in_the_policy_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.engine.service.TICK_SECONDS", 0.005)
    async with served(tmp_path) as up:
        old = up.upstream.port
        await up.upstream.stop()
        assert (await up.send(get())).status == 502
        await up.upstream.start()
        up.folder.put_policy(**{f"127.0.0.1:{old}": f"127.0.0.1:{up.upstream.port}"})
        await up.until_recorded("control.recovered")

        (recovered,) = up.folder.records("control.recovered")
        assert recovered["unmapped"]["control"] == f"upstream:psp http://127.0.0.1:{old}"
        assert recovered["status_detail"] == "no longer in the policy"
        assert (await up.send(get())).status == 200


# What is never sent twice


async def closes(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """Close without an answer."""
    raise ConnectionError


@pytest.mark.parametrize("sent", [get(), get(method="HEAD"), request()], ids=["GET", "HEAD", "POST"])
async def test_a_request_that_an_endpoint_took_is_not_sent_again(pair: Two, sent: bytes) -> None:
    pair.first.behaviour = pair.second.behaviour = closes

    response = await pair.up.send(sent)

    assert response.status == 502
    assert pair.seen == (1, 0)
    assert pair.up.finished == [Reason.UPSTREAM_BROKEN]


@pytest.mark.parametrize("sent", [get(), request()], ids=["GET", "POST"])
async def test_a_kept_connection_that_closes_as_the_next_request_comes(up: Running, sent: bytes) -> None:
    reader, writer = await up.connect()
    writer.write(get())
    assert (await read_response(reader)).status == 200
    up.upstream.behaviour = closes

    writer.write(sent)

    response: Response = await read_response(reader)
    assert (response.status, response.code) == (502, "upstream.broken")
    assert (len(up.upstream.requests), up.upstream.connections) == (2, 1)
    up.upstream.behaviour = None
    writer.write(get())
    assert (await read_response(reader)).status == 200
