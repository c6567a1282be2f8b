"""Reload: a policy is swapped whole, a request under way keeps its own, and a bad one never replaces a good one."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.engine import service as service_module
from tests import mint, world
from tests.engine import pki
from tests.engine.harness import get, read_response, read_to_end, request, until
from tests.engine.http2 import Http2Client, get_fields
from tests.engine.services import Served, served
from tests.engine.upstream import Held


@pytest.fixture
async def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """A service that looks at its files all the time."""
    monkeypatch.setattr(service_module, "TICK_SECONDS", 0.005)
    async with served(tmp_path) as service:
        yield service


async def test_a_changed_policy_comes_into_force(up: Served) -> None:
    before = up.service.gate.in_force.facts
    up.folder.put_policy(balance="/v1/money")

    await up.until_recorded("policy.loaded")

    assert (await up.send(get("/v1/money"))).status == 200
    assert (await up.send(get("/v1/balance"))).code == "route.unknown"
    (loaded,) = up.folder.records("policy.loaded")
    assert loaded["status_detail"] == "file change"
    assert loaded["unmapped"]["previous_policy"] == before.digest
    assert loaded["policy"]["uid"] != before.digest
    assert {record["policy"]["uid"] for record in up.folder.records("decision")} == {loaded["policy"]["uid"]}


async def test_a_signal_reloads_what_did_not_change(up: Served) -> None:
    up.service.request_reload("signal")

    await up.until_recorded("policy.loaded")

    assert up.folder.records("policy.loaded")[0]["status_detail"] == "signal"
    assert (await up.send(get())).status == 200


async def test_a_reload_ends_no_connection(up: Served) -> None:
    reader, writer = await up.connect()
    writer.write(get())
    await read_response(reader)
    up.folder.put_policy(balance="/v1/money")
    await up.until_recorded("policy.loaded")

    writer.write(get("/v1/money"))

    assert (await read_response(reader)).status == 200
    writer.close()


async def test_a_request_under_way_keeps_its_policy(up: Served) -> None:
    held = Held(up.upstream)
    reader, writer = await up.connect()
    writer.write(get())
    await held.reached.wait()
    up.folder.put_policy(balance="/v1/money")
    await up.until_recorded("policy.loaded")

    held.go_on.set()

    assert (await read_response(reader)).status == 200
    writer.close()
    (decision,), (outcome,) = up.folder.records("decision"), up.folder.records("outcome")
    assert decision["policy"] == outcome["policy"]
    assert outcome["policy"] != up.folder.records("policy.loaded")[0]["policy"]


async def test_a_decision_under_way_keeps_its_policy(up: Served) -> None:
    reader, writer = await up.connect()
    made = request()
    writer.write(made[:-5])
    await until(lambda: any(one.open_requests for one in up.service.master.handlers))
    up.folder.put_policy(**{"path: /v1/deposits": "path: /v1/payments"})
    await up.until_recorded("policy.loaded")

    writer.write(made[-5:])

    assert (await read_response(reader)).status == 200
    writer.write(request(world.World(nonce="nonce-2")))
    assert (await read_response(reader)).code == "route.unknown"
    writer.close()


async def test_a_bad_policy_is_refused_and_the_old_one_stays(up: Served) -> None:
    before = up.service.gate.in_force
    up.folder.put_policy(**{"mutual_tls: required": "mutual_tls: maybe", "/v1/balance": "/v1/money"})

    await up.until_recorded("policy.refused")

    assert up.service.gate.in_force is before
    assert (await up.send(get())).status == 200
    (refused,) = up.folder.records("policy.refused")
    assert refused["policy"]["uid"] == before.policy.digest
    assert any("policy.yaml" in problem and "mutual_tls" in problem for problem in refused["unmapped"]["problems"])


async def test_a_mended_policy_comes_into_force(up: Served) -> None:
    up.folder.put_policy(**{"mutual_tls: required": "mutual_tls: maybe"})
    await up.until_recorded("policy.refused")

    up.folder.put_policy(balance="/v1/money")

    await up.until_recorded("policy.loaded")
    assert (await up.send(get("/v1/money"))).status == 200


async def test_a_file_that_was_missing_brings_the_policy_into_force(up: Served) -> None:
    up.folder.put_policy(**{"file:acme.secret": "file:new.secret"})
    await up.until_recorded("policy.refused")

    up.folder.put("new.secret", world.SIGNING_SECRET)

    await up.until_recorded("policy.loaded")
    assert (await up.send(request())).status == 200


async def test_a_policy_that_is_gone_changes_nothing(up: Served) -> None:
    up.folder.policy.unlink()

    await up.until_recorded("policy.refused")

    assert (await up.send(get())).status == 200


async def test_an_error_of_ours_while_reading_changes_nothing(up: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object, **__: object) -> object:
        raise ZeroDivisionError("secret-7f3a")

    with monkeypatch.context() as patched:
        patched.setattr(service_module, "load", load)
        up.service.request_reload("signal")
        await up.until_recorded("policy.refused")

    assert (await up.send(get())).status == 200
    assert "secret-7f3a" not in str(up.folder.records("policy.refused"))


async def test_a_moved_listener_needs_a_restart(up: Served) -> None:
    up.folder.put_policy(**{"127.0.0.1:0": "127.0.0.1:8443"})

    await up.until_recorded("policy.refused")

    assert "restart" in up.folder.records("policy.refused")[0]["unmapped"]["problems"][0]
    assert (await up.send(get())).status == 200


async def test_new_token_keys_replace_the_old_ones(up: Served) -> None:
    new = mint.private_key("P-256", "operator-2")
    rotated = world.token(key=new, header={"kid": "operator-2"})
    assert (await up.send(get(authorization=f"Bearer {rotated}"))).code == "token.key_unknown"

    up.folder.put("operator-jwks.json", world.jwks(world.jwk(new, kid="operator-2")))
    await up.until_recorded("policy.loaded")

    assert (await up.send(get(authorization=f"Bearer {rotated}"))).status == 200
    assert (await up.send(get())).code == "token.key_unknown"


async def test_a_key_set_that_is_none_is_refused(up: Served) -> None:
    up.folder.put("operator-jwks.json", b'{"keys": [')

    await up.until_recorded("policy.refused")

    assert (await up.send(get())).status == 200


async def test_a_new_signing_secret_replaces_the_old_one(up: Served) -> None:
    up.folder.put("acme.secret", b"another secret of more than 32 bytes")
    await up.until_recorded("policy.loaded")

    assert (await up.send(request())).code == "signature.mismatch"


async def test_a_new_certificate_is_shown_to_new_connections(up: Served) -> None:
    reader, writer = await up.connect()
    before = shown_to(writer)
    assert before == pki.pki().server.certificate_pem()

    up.folder.put("gateway.key", pki.pki().upstream.key_pem())
    up.folder.put("gateway.pem", pki.pki().upstream.certificate_pem())
    await up.until_recorded("policy.loaded")

    _, second = await up.connect()
    assert shown_to(second) == pki.pki().upstream.certificate_pem()
    writer.write(get())
    assert (await read_response(reader)).status == 200
    writer.close()
    second.close()


def shown_to(writer: asyncio.StreamWriter) -> bytes:
    """Give the certificate that the gate showed."""
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return ssl.DER_cert_to_PEM_cert(der).encode()


async def test_a_ca_that_was_taken_out_admits_nobody(up: Served) -> None:
    up.folder.put("partners-ca.pem", pki.pki().foreign.certificate_pem())
    await up.until_recorded("policy.loaded")

    reader, writer = await up.connect()
    writer.write(get())

    assert await read_to_end(reader) == b""
    writer.close()
    await up.until_recorded("connection")
    assert up.folder.records("connection")[0]["status_code"] == "tls.certificate_untrusted"


async def test_who_came_in_under_a_ca_that_was_taken_out_is_out(up: Served) -> None:
    reader, writer = await up.connect()
    writer.write(get())
    assert (await read_response(reader)).status == 200

    up.folder.put("partners-ca.pem", pki.pki().foreign.certificate_pem())
    await up.until_recorded("policy.loaded")

    writer.write(get())
    assert await read_to_end(reader) == b""
    writer.close()
    assert len(up.upstream.requests) == 1


async def test_a_request_under_way_under_a_ca_that_was_taken_out_is_the_last(up: Served) -> None:
    held = Held(up.upstream)
    reader, writer = await up.connect()
    writer.write(get())
    await held.reached.wait()
    writer.write(get())
    up.folder.put("partners-ca.pem", pki.pki().foreign.certificate_pem())
    await up.until_recorded("policy.loaded")

    held.go_on.set()

    assert (await read_response(reader)).status == 200
    assert b" 200 " not in await read_to_end(reader)
    writer.close()
    assert len(up.upstream.requests) == 1


async def test_no_stream_begins_under_a_ca_that_was_taken_out(up: Served) -> None:
    held = Held(up.upstream)
    async with Http2Client(up) as client:
        first = client.begin(get_fields())
        await held.reached.wait()
        up.folder.put("partners-ca.pem", pki.pki().foreign.certificate_pem())
        await up.until_recorded("policy.loaded")

        assert (await client.answer(client.begin(get_fields()))).code == "gate.draining"

        held.go_on.set()
        assert (await client.answer(first)).status == 200
        await client.read_to_end()
    assert len(up.upstream.requests) == 1


async def test_limits_change_with_the_policy(up: Served) -> None:
    up.folder.put_policy(**{"    tls:": "    limits: {fields: 10}\n    tls:"})
    await up.until_recorded("policy.loaded")
    many = get().replace(b"\r\n\r\n", b"\r\nx-a: 1" * 10 + b"\r\n\r\n")

    assert (await up.send(many)).code == "http.head_too_large"


async def test_another_upstream_is_reached_from_open_connections(up: Served) -> None:
    reader, writer = await up.connect()
    writer.write(get())
    await read_response(reader)
    old = up.upstream.port
    await up.upstream.stop()
    await up.upstream.start()
    up.folder.put_policy(**{f"127.0.0.1:{old}": f"127.0.0.1:{up.upstream.port}"})
    await up.until_recorded("policy.loaded")

    writer.write(get())

    assert (await read_response(reader)).status == 200
    writer.close()


async def test_another_host_is_named_from_open_connections(up: Served) -> None:
    reader, writer = await up.connect()
    writer.write(get())
    await read_response(reader)
    up.folder.put_policy(**{"  psp: {": "  psp: {host: api.vendor.example, "})
    await up.until_recorded("policy.loaded")

    writer.write(get())

    assert (await read_response(reader)).status == 200
    assert [dict(up.upstream.fields(place))["host"] for place in range(2)] == [world.HOST, "api.vendor.example"]
    writer.close()


async def test_nonces_outlive_a_reload(up: Served) -> None:
    assert (await up.send(request())).status == 200
    up.folder.put_policy(balance="/v1/money")
    await up.until_recorded("policy.loaded")

    assert (await up.send(request())).code == "replay.seen"


async def test_a_wider_window_makes_no_old_request_new(up: Served) -> None:
    assert (await up.send(request())).status == 200
    up.time.move(300)  # its nonce may be forgotten from now on
    up.folder.put_policy(**{"max_age: 60s": "max_age: 600s"})
    await up.until_recorded("policy.loaded")

    token = world.token(world.claims(exp=int(up.time.now) + 60, iat=int(up.time.now) - 60))
    response = await up.send(request(world.World(token=token)))

    assert response.code in ("replay.seen", "replay.unknowable")


async def test_many_reloads_leave_one_policy(up: Served) -> None:
    for number in range(5):
        up.folder.put_policy(balance=f"/v1/money-{number}")
        await up.until_recorded("policy.loaded", number + 1)

    assert [(await up.send(get(f"/v1/money-{number}"))).status for number in range(5)] == [404] * 4 + [200]


async def test_a_state_folder_that_fails_is_recorded_until_it_works(
    up: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def beat(_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(up.service.state, "beat", beat)
        for _ in range(2):
            up.service._beat()
            assert (await up.send(get())).status == 200
    up.service._beat()

    told = [
        (kind, record["unmapped"]["control"])
        for record in up.folder.records()
        if (kind := record["metadata"]["event_code"]).startswith("control")
    ]
    assert told == [("control.failed", "state.folder"), ("control.recovered", "state.folder")]


async def test_what_ends_soon_is_told_in_the_log_once_reloads_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def told() -> list[str]:
        return [line.split(" ends on ")[0] for line in caplog.messages if line.endswith(": renew it")]

    monkeypatch.setattr(service_module, "TICK_SECONDS", 0.005)
    monkeypatch.setattr("gateway.engine.expiry.AHEAD_SHARE", 1.0)
    own = f"certificate CN=gate (listener public, {tmp_path}/gateway.pem)"
    authority = f"certificate CN=Partners CA (listener public, {tmp_path}/partners-ca.pem)"
    async with served(tmp_path) as up:
        await until(lambda: len(told()) == 2)
        up.service.request_reload("signal")
        await up.until_recorded("policy.loaded")
        up.folder.put("gateway.key", pki.pki().upstream.key_pem())
        up.folder.put("gateway.pem", pki.pki().upstream.certificate_pem())
        await up.until_recorded("policy.loaded", 2)
        await up.stop()
    assert sorted(told()) == sorted([own, authority])
