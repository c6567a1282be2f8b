"""Path tricks: a path that some server reads as another one matches no route."""

import pytest

from gateway.core.reasons import Reason
from tests.engine.harness import Running, get
from tests.engine.http2 import Http2Client, get_fields

AMBIGUOUS = [
    "/v1/./balance",
    "/v1/../v1/balance",
    "/v1/balance/..",
    "/v1/balance/.",
    "/../v1/balance",
    "//v1/balance",
    "/v1//balance",
    "/v1/balance//",
    "/v1/balance;a=1",
    "/v1;a=1/balance",
    "/v1/balance;/../admin",
    "/v1%2fbalance",
    "/v1%2Fbalance",
    "/v1/%2e%2e/v1/balance",
    "/v1/%2E/balance",
    "/v1/.%2e/v1/balance",
    "/v1/%62alance",
    "/v1/b%61lance",
    "/v1%5cbalance",
    "/v1/balance%00",
    "/v1/balance%0d%0a",
    "/v1/%252e%252e/balance",
    "/v1/balance%25",
    "/v1/balance%7e",
    "/v1/%c0%af",
    "/v1/%ff",
]

INVALID = [
    "/v1/balance#fragment",
    "/v1\\balance",
    "/v1/balance|x",
    "/v1/bal ance",
    "/v1/balance?a=<b>",
    '/v1/balance?a="b"',
    "/v1/balance?a=%zz",
    "/v1/balance%",
    "/v1/balance%2",
    "/v1/bal\xe4nce",
    "/v1/balance?a=" + "a" * 8_000,
]


@pytest.mark.parametrize("path", AMBIGUOUS)
async def test_an_ambiguous_path_is_refused(up: Running, path: str) -> None:
    assert (await up.send(get(path))).code == "http.target_ambiguous"

    assert up.decided == [Reason.TARGET_AMBIGUOUS]
    assert up.upstream.untouched


@pytest.mark.parametrize("path", INVALID)
async def test_an_invalid_target_is_refused(up: Running, path: str) -> None:
    sent = get("/v1/PATH").replace(b"/v1/PATH", path.encode("latin-1"), 1)

    assert (await up.send(sent)).status == 400
    assert up.decided[0] in (Reason.TARGET_INVALID, Reason.MESSAGE_MALFORMED)
    assert up.upstream.untouched


@pytest.mark.parametrize("path", ["/v1/./balance", "/v1%2fbalance", "/v1/balance;a=1", "//v1/balance"])
async def test_an_ambiguous_path_is_refused_in_http2(up: Running, path: str) -> None:
    async with Http2Client(up) as client:
        assert (await client.answer(client.begin(get_fields(path)))).code == "http.target_ambiguous"

    assert up.upstream.untouched


@pytest.mark.parametrize("path", ["/v1/balance/", "/V1/balance", "/v1/BALANCE", "/v1", "/", "/v1/balance/x"])
async def test_a_path_that_is_almost_a_route_is_unknown(up: Running, path: str) -> None:
    assert (await up.send(get(path))).code == "route.unknown"

    assert up.upstream.untouched


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_a_method_that_the_route_does_not_have(up: Running, method: str) -> None:
    response = await up.send(get(method=method))

    assert (response.code, response.fields["allow"]) == ("route.method", "GET, HEAD")
    assert up.upstream.untouched


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "get", "PROPFIND", "GETX", "PRI"])
async def test_a_method_that_is_never_served(up: Running, method: str) -> None:
    assert (await up.send(get(method=method))).code == "http.method"

    assert up.decided == [Reason.METHOD_UNKNOWN]
    assert up.upstream.untouched


async def test_a_method_override_changes_nothing(up: Running) -> None:
    response = await up.send(get(x_http_method_override="DELETE", x_method_override="DELETE"))

    assert response.status == 200
    assert up.upstream.heads[0].startswith(b"GET ")


async def test_no_query_reaches_the_log(up: Running) -> None:
    await up.send(get("/v1/balance?card=4111111111111111&secret=marker-7f3a"))
    await up.send(get("/v1//balance?secret=marker-7f3a"))

    assert up.decided == [Reason.ALLOWED, Reason.TARGET_AMBIGUOUS]
    log = b"".join(file.read_bytes() for file in (up.directory / "audit").glob("*.jsonl"))
    assert b"marker-7f3a" not in log
    assert b"4111111111111111" not in log
