"""Clients that others wrote: curl, and httpx, over HTTP/1.1 and HTTP/2."""

import asyncio
import json

import httpx
import pytest

from gateway.core.reasons import Reason
from tests import world
from tests.engine import pki
from tests.engine.harness import Running

PROTOCOLS = ["http1.1", "http2"]


def httpx_client(up: Running, protocol: str) -> httpx.AsyncClient:
    """Give an httpx client that presents the partner's certificate."""
    verify = pki.client_context(up.directory)
    return httpx.AsyncClient(
        verify=verify,
        http1=protocol == "http1.1",
        http2=protocol == "http2",
        base_url=f"https://localhost:{up.port}",
        trust_env=False,
    )


def fields_of(made: world.World) -> dict[str, str]:
    """Give the world's fields, less what clients add themselves."""
    raw = {name.decode(): value.decode() for name, value in made.raw_fields()}
    return {name: value for name, value in raw.items() if name != "content-length"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_httpx(up: Running, protocol: str) -> None:
    async with httpx_client(up, protocol) as client:
        answers = []
        for number in range(3):
            made = world.World(nonce=f"nonce-{number}")
            answers.append(await client.post("/v1/deposits", content=made.body, headers=fields_of(made)))
        refused = await client.post("/v1/deposits", content=world.BODY, headers={"host": world.HOST})

    assert [answer.json() for answer in answers] == [{"status": "ok"}] * 3
    assert {answer.http_version for answer in answers} == {"HTTP/2" if protocol == "http2" else "HTTP/1.1"}
    assert (refused.status_code, refused.json()["code"]) == (401, "token.missing")
    assert up.decided == [Reason.ALLOWED] * 3 + [Reason.TOKEN_MISSING]
    assert up.upstream.bodies == [world.BODY] * 3


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_httpx_with_many_requests_at_once(up: Running, protocol: str) -> None:
    headers = {"host": world.HOST, "authorization": f"Bearer {world.token()}"}
    async with httpx_client(up, protocol) as client:
        answers = await asyncio.gather(*(client.get(f"/v1/balance?n={n}", headers=headers) for n in range(20)))

    assert [answer.status_code for answer in answers] == [200] * 20
    assert len(up.upstream.requests) == 20


async def curl(up: Running, *arguments: str, made: world.World, certificate: str | None = "partner") -> tuple[int, str]:
    """Run curl; give its exit code, and what it printed."""
    shown = ["-w", "\n%{http_version} %{http_code}", "--max-time", "30", "-sS", "-q", "--noproxy", "*"]
    trusted = ["--cacert", str(up.directory / "operator-ca.pem")]
    own = ["--cert", str(up.directory / f"{certificate}.pem")] if certificate else []
    headers = [part for name, value in fields_of(made).items() for part in ("-H", f"{name}: {value}")]
    url = f"https://localhost:{up.port}{made.target.decode()}"
    process = await asyncio.create_subprocess_exec(
        "curl", *shown, *trusted, *own, *headers, *arguments, url,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    printed, _ = await process.communicate(made.body)
    assert process.returncode is not None
    return process.returncode, printed.decode()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_curl(up: Running, protocol: str) -> None:
    code, printed = await curl(up, f"--{protocol}", "--data-binary", "@-", made=world.World())

    assert code == 0, printed
    body, _, shown = printed.rpartition("\n")
    assert (json.loads(body), shown) == ({"status": "ok"}, f"{protocol.removeprefix('http')} 200")
    assert up.upstream.bodies == [world.BODY]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_curl_with_a_large_body_that_is_refused(up: Running, protocol: str) -> None:
    made = world.World(body=b"x" * 1_000_000)

    code, printed = await curl(up, f"--{protocol}", "--data-binary", "@-", made=made)

    assert code == 0, printed
    assert printed.endswith(" 413")
    assert up.upstream.untouched


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_curl_that_asks_before_it_sends(up: Running, protocol: str) -> None:
    code, printed = await curl(
        up, f"--{protocol}", "-H", "Expect: 100-continue", "-T", "-", "-X", "POST", made=world.World()
    )

    assert code == 0, printed
    assert printed.endswith(" 200")
    assert up.upstream.bodies == [world.BODY]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_curl_without_a_certificate(up: Running, protocol: str) -> None:
    code, printed = await curl(up, f"--{protocol}", "--data-binary", "@-", made=world.World(), certificate=None)

    assert code != 0
    assert printed.endswith(" 000")  # no answer: in TLS 1.3 the client learns of it when it sends or reads
    await up.until_refused()
    assert up.refused == [Reason.TLS_NO_CERTIFICATE]
    assert up.upstream.untouched
