"""User addons: what they see of a request, how they deny it, and what they add to it."""

import asyncio
from pathlib import Path

import pytest

from gateway.core.reasons import Reason
from gateway.engine.connection import GateConnectionHandler
from gateway.engine.data_path import DataPath
from tests import world
from tests.engine.addons import PROTOCOLS, detail, post, read, scope, script
from tests.engine.harness import get, read_response, running, until
from tests.engine.http2 import Http2Client
from tests.engine.upstream import OK, Held

pytestmark = pytest.mark.layers

each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)


# What an addon sees


@each_protocol
async def test_the_hooks_are_called_in_order_with_a_real_flow(tmp_path: Path, protocol: str) -> None:
    text = """
        def note(name):
            def hook(flow):
                assert isinstance(flow, http.HTTPFlow)
                seen.append((name, id(flow)))
            return hook
        requestheaders, request = note("requestheaders"), note("request")
        responseheaders, response, error = note("responseheaders"), note("response"), note("error")
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        assert (await post(up, protocol)).status == 200
        await up.until_finished()

        names, flows = zip(*scope(up)["note"].__globals__["seen"], strict=True)
        assert names == ("requestheaders", "request", "responseheaders", "response")
        assert len(set(flows)) == 1


@each_protocol
async def test_the_flow_is_the_request_as_the_upstream_gets_it(tmp_path: Path, protocol: str) -> None:
    text = """
        def request(flow):
            seen.append(flow)
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        made = world.World(target=b"/v1/deposits?a=%20", extra=[("x-gateway-partner", "forged")])
        await post(up, protocol, made)

        (flow,) = scope(up)["seen"]
        sent = dict(up.upstream.fields())
        assert (flow.request.method, flow.request.path) == ("POST", "/v1/deposits?a=%20")
        assert flow.request.pretty_url == "https://api.psp.example/v1/deposits?a=%20"
        assert flow.request.content == up.upstream.bodies[0] == world.BODY
        assert dict(flow.request.headers.items()) == sent
        assert sent["x-gateway-partner"] == world.PARTNER
        facts = {name: flow.metadata[f"gateway.{name}"] for name in ("partner", "route", "token_subject")}
        assert facts == {"partner": world.PARTNER, "route": "deposit", "token_subject": world.SUBJECT}
        assert flow.metadata["gateway.request_id"] == up.upstream.request_ids[0]
        assert flow.client_conn.peername[0] == flow.metadata["gateway.client_address"] == "127.0.0.1"
        assert flow.server_conn.address == ("psp", 0)


@each_protocol
async def test_an_addon_never_sees_what_the_policy_denies(tmp_path: Path, protocol: str) -> None:
    text = """
        def requestheaders(flow):
            seen.append(flow)
            flow.response = http.Response.make(200)
        request = error = response = requestheaders
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        assert (await read(up, protocol, authorization=None)).code == "token.missing"
        assert (await post(up, protocol, world.World(fields={"x-signature": "00" * 32}))).code == "signature.mismatch"

        assert scope(up)["seen"] == []
        assert up.upstream.untouched


async def test_nothing_is_recorded_or_forwarded_before_the_addon_is_done(tmp_path: Path) -> None:
    text = """
        import asyncio
        go_on = asyncio.Event()
        async def request(flow):
            seen.append(flow)
            await go_on.wait()
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        waiting = asyncio.create_task(up.send(get()))
        await until(lambda: scope(up)["seen"])
        assert (up.decided, up.upstream.untouched) == ([], True)

        scope(up)["go_on"].set()

        assert (await waiting).status == 200
        assert up.decided == [Reason.ALLOWED]


async def test_without_an_addon_http1_takes_the_direct_path(tmp_path: Path) -> None:
    for addons, way in (([], DataPath), ([script(tmp_path, "")], GateConnectionHandler)):
        async with running(tmp_path, flows=False, addons=addons, audit=way.__name__) as up:
            held = Held(up.upstream)
            waiting = asyncio.create_task(up.send(get()))
            await held.reached.wait()
            assert [type(handler) for handler in up.master.handlers] == [way]
            held.go_on.set()
            assert (await waiting).status == 200


# Denying


@pytest.mark.parametrize("status", [200, 204, 302, 403, 500])
@pytest.mark.parametrize("hook", ["requestheaders", "request"])
@each_protocol
async def test_an_answer_of_an_addon_denies(tmp_path: Path, protocol: str, hook: str, status: int) -> None:
    text = f"""
        def {hook}(flow):
            flow.comment = "no deposits on Sundays"
            flow.response = http.Response.make({status}, b"forged", {{"x-forged": "1"}})
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        response = await post(up, protocol)

        assert (response.status, response.code) == (403, "addon.denied")
        assert response.fields["content-type"] == "application/problem+json"
        assert "x-forged" not in response.fields
        assert (up.decided, up.upstream.untouched) == ([Reason.ADDON_DENIED], True)
        assert detail(up) == f"addon addon.py, {hook}: it answered with status {status} (no deposits on Sundays)"
        assert up.records("decision")[0]["unmapped"]["denied_by"] == f"addon:addon.py {hook}"


@each_protocol
async def test_a_flow_that_is_killed_is_denied(tmp_path: Path, protocol: str) -> None:
    text = """
        class Guard:
            def request(self, flow):
                flow.kill()
        addons = [Guard()]
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        assert (await post(up, protocol)).code == "addon.denied"
        assert detail(up) == "addon addon.py:Guard, request: it killed the flow"
        assert up.upstream.untouched


async def test_the_first_addon_that_denies_is_the_last_one_asked(tmp_path: Path) -> None:
    first = script(tmp_path, "def request(flow): flow.kill()", "first.py")
    text = """
        def request(flow):
            seen.append(flow)
            flow.error = flow.response = None
    """
    async with running(tmp_path, addons=[first, script(tmp_path, text, "second.py")]) as up:
        assert (await up.send(get())).code == "addon.denied"
        assert scope(up, 1)["seen"] == []


async def test_a_denied_request_has_used_its_nonce(tmp_path: Path) -> None:
    text = """
        def request(flow):
            if not seen:
                seen.append(1)
                flow.kill()
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        assert (await post(up, "1.1")).code == "addon.denied"
        assert (await post(up, "1.1")).code == "replay.seen"


async def test_a_denial_leaves_the_connection_to_the_next_request(tmp_path: Path) -> None:
    text = """
        def request(flow):
            if "x-no" in flow.request.headers:
                flow.kill()
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        reader, writer = await up.connect()
        for fields, status in (({"x_no": "1"}, 403), ({}, 200), ({"x_no": "1"}, 403)):
            writer.write(get(**fields))
            assert (await read_response(reader)).status == status
        async with Http2Client(up) as client:
            assert (await client.answer(client.post())).status == 200


# Annotating


@each_protocol
async def test_fields_that_an_addon_adds_reach_the_upstream(tmp_path: Path, protocol: str) -> None:
    text = """
        def request(flow):
            flow.request.headers["X-Risk"] = "low"
            flow.request.headers.add("x-reason", "known")
            flow.request.headers.add("x-reason", "small")
            flow.comment = "seen before"
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        assert (await post(up, protocol)).status == 200
        await up.until_finished()

        sent = up.upstream.fields()
        assert [line for line in sent if line[0] in ("x-risk", "x-reason")] == [
            ("x-risk", "low"), ("x-reason", "known"), ("x-reason", "small"),
        ]  # fmt: skip
        assert up.upstream.bodies == [world.BODY]
        assert detail(up, "outcome") == "added to the request: x-reason, x-risk; comment: seen before"
        assert up.records("decision")[0]["unmapped"]["controls_passed"][-1] == "addon:addon.py"


async def test_a_later_addon_sees_what_an_earlier_one_added(tmp_path: Path) -> None:
    first = script(tmp_path, 'def request(flow): flow.request.headers["x-risk"] = "low"', "first.py")
    second = script(tmp_path, 'def request(flow): seen.append(flow.request.headers["x-risk"])', "second.py")
    async with running(tmp_path, addons=[first, second]) as up:
        assert (await up.send(get())).status == 200
        assert scope(up, 1)["seen"] == ["low"]


# Connections


async def test_an_addon_is_told_of_connections(tmp_path: Path) -> None:
    text = """
        def client_connected(client):
            seen.append(("connected", client.peername[0], client.tls, client.alpn))
        async def client_disconnected(client):
            seen.append(("disconnected", client.peername[0], client.tls, client.alpn))
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        await post(up, "2")
        await until(lambda: len(scope(up)["seen"]) == 2)
        assert scope(up)["seen"] == [(what, "127.0.0.1", True, b"h2") for what in ("connected", "disconnected")]


async def test_an_addon_may_refuse_a_connection(tmp_path: Path) -> None:
    text = """
        def client_connected(client):
            client.error = "not on Sundays"
        def request(flow):
            seen.append(flow)
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        reader, writer = await up.connect()
        writer.write(get())
        assert await reader.read() == b""
        await up.until_refused()
        assert (up.refused, scope(up)["seen"]) == ([Reason.ADDON_DENIED], [])
        assert detail(up, "connection") == "addon addon.py, client_connected: not on Sundays"


# The example


def example(amount: str, nonce: str) -> world.World:
    return world.World(body=amount.encode(), nonce=nonce)


@each_protocol
async def test_the_example_in_policies(tmp_path: Path, protocol: str) -> None:
    path = Path(__file__).parents[2] / "policies/addons/deposit_limit.py"
    async with running(tmp_path, addons=[path], route={"name": "psp-deposit"}) as up:
        up.upstream.answer = OK
        for number, (body, status) in enumerate(
            [
                ('{"amount": "25.00"}', 200),
                ('{"amount": "10000.00"}', 200),
                ('{"amount": "10000.01"}', 403),
                ('{"amount": 25.00}', 503),
                ('{"amount": "1.00", "amount": "99999.00"}', 503),
                ('{"amount": NaN}', 503),
                ("{}", 503),
                ("[" * 5_000, 503),
            ]
        ):
            response = await post(up, protocol, example(body, f"nonce-{number}"))
            assert response.status == status, body

        assert [dict(up.upstream.fields(place))["x-deposit-limit"] for place in (0, 1)] == ["10000.00"] * 2
        assert len(up.upstream.requests) == 2
        assert any(
            record["status_detail"]
            == "addon deposit_limit.py, request: it answered with status 403 (more than 10000.00)"
            for record in up.records("decision")
        )


def test_the_example_in_the_documentation_is_the_one_that_is_tested() -> None:
    root = Path(__file__).parents[2]
    assert (root / "policies/addons/deposit_limit.py").read_text() in (root / "docs/addons.md").read_text()
