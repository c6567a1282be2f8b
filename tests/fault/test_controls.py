"""A control that raises denies, whatever it raises: 503, recorded, and no connection to the upstream."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from gateway.core.chain import ORDER, Asks
from gateway.core.exchange import Exchange
from gateway.core.reasons import Reason
from tests import world
from tests.engine.harness import Running, read_response, request
from tests.engine.http2 import Http2Client

SECRET = "secret-7f3a"

ERRORS = [RuntimeError(SECRET), KeyError(SECRET), OSError(5, SECRET), AssertionError(SECRET), RecursionError(SECRET)]


@dataclass(frozen=True)
class Failing:
    """A control that raises, before it asks or after."""

    name: str  # type: ignore[misc]
    error: Exception
    asks: bool = False

    def check(self, exchange: Exchange) -> Asks:
        if self.asks:
            return self._ask(exchange)
        raise self.error

    def _ask(self, exchange: Exchange) -> Asks:
        yield from exchange.read_body()
        raise self.error


class NoControl:
    """Not a control at all."""

    name: ClassVar[str] = "none"


def put(up: Running, name: str, control: object) -> None:
    """Put a control in the place of the one of this name."""
    compiled = up.gate.in_force.policy
    chain = tuple(control if one.name == name else one for one in world.chain())
    routes = tuple(replace(route, chain=chain) for route in compiled.routes)  # type: ignore[arg-type]
    up.gate.in_force = replace(up.gate.in_force, policy=replace(compiled, routes=routes))


async def check_denied(up: Running, control: str) -> None:
    response = await up.send(request())

    assert (response.status, response.code) == (503, "gate.control_failed")
    assert SECRET.encode() not in response.body
    assert up.decided == [Reason.CONTROL_FAILED]
    assert up.upstream.untouched
    (failed,) = up.records("control.failed")
    assert failed["unmapped"]["control"] == control
    log = b"".join(file.read_bytes() for file in up.log.directory.glob("*.jsonl"))
    assert SECRET.encode() not in log


@pytest.mark.parametrize("name", ORDER)
@pytest.mark.parametrize("asks", [False, True], ids=["at once", "after the body"])
async def test_each_control(up: Running, name: str, asks: bool) -> None:
    put(up, name, Failing(name, RuntimeError(SECRET), asks))

    await check_denied(up, name)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_each_kind_of_error(up: Running, error: Exception) -> None:
    put(up, "signature", Failing("signature", error))

    await check_denied(up, "signature")


async def test_what_is_no_control(up: Running) -> None:
    put(up, "token", NoControl())

    await check_denied(up, "none")


async def test_the_record_names_type_and_place(up: Running) -> None:
    put(up, "token", Failing("token", ZeroDivisionError(SECRET)))

    await up.send(request())

    (record,) = up.records("decision")
    assert record["status_detail"].startswith("ZeroDivisionError at Failing.check (test_controls.py:")
    assert record["unmapped"]["denied_by"] == "token"


async def test_in_http2_the_other_streams_go_on(up: Running) -> None:
    compiled = up.gate.in_force
    async with Http2Client(up) as client:
        put(up, "token", Failing("token", RuntimeError(SECRET)))
        assert (await client.answer(client.post())).code == "gate.control_failed"
        up.gate.in_force = compiled

        assert (await client.answer(client.post())).status == 200


async def test_a_control_that_works_again_is_recorded_once(up: Running) -> None:
    working = up.gate.in_force
    reader, writer = await up.connect()
    put(up, "rate_limit", Failing("rate_limit", RuntimeError(SECRET)))
    for _ in range(3):
        writer.write(request())
        assert (await read_response(reader)).status == 503

    up.gate.in_force = working
    for number in range(3):
        writer.write(request(world.World(nonce=f"nonce-{number}")))
        assert (await read_response(reader)).status == 200

    (failed,), (recovered,) = up.records("control.failed"), up.records("control.recovered")
    assert failed["unmapped"]["control"] == recovered["unmapped"]["control"] == "rate_limit"
    assert failed["metadata"]["sequence"] < recovered["metadata"]["sequence"]
