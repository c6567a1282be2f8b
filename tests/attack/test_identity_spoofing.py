"""Identity spoofing: what names a caller towards the upstream is said by the gate alone."""

import pytest

from tests import world
from tests.engine.harness import Running, get, request
from tests.engine.http2 import Http2Client, get_fields

SPOOFED = [
    ("X-Gateway-Partner", "blue-bingo"),
    ("x-gateway-partner", "blue-bingo"),
    ("X-GATEWAY-CLIENT-ADDRESS", "203.0.113.9"),
    ("X-Gateway-Token-Subject", "blue-backend"),
    ("X-Gateway-Signing-Key", "blue-1"),
    ("X-Gateway-Request-Id", "00000000-0000-0000-0000-000000000000"),
    ("X-Gateway-Anything", "1"),
    ("X-Forwarded-For", "203.0.113.9"),
    ("X-Forwarded-Proto", "http"),
    ("X-Forwarded-Host", "other.example"),
    ("X-Forwarded-Client-Cert", "Hash=00"),
    ("Forwarded", "for=203.0.113.9"),
    ("X-Real-IP", "203.0.113.9"),
    ("X-Client-Cert", "MII"),
    ("X-Client-Cert-Subject", "CN=blue"),
    ("X-SSL-Client-Verify", "SUCCESS"),
    ("Client-Cert", ":bm9ib2R5:"),
    ("X-Remote-User", "blue-bingo"),
    ("X-HTTP-Method-Override", "DELETE"),
    ("X-Original-URL", "/admin"),
]

OWN = {
    "x-gateway-partner": world.PARTNER,
    "x-gateway-client-address": "127.0.0.1",
    "x-gateway-token-subject": world.SUBJECT,
    "x-gateway-signing-key": world.SIGNING_KEY_ID,
    "x-forwarded-for": "127.0.0.1",
    "x-forwarded-proto": "https",
}


@pytest.mark.parametrize("protocol", ["1.1", "2"])
async def test_spoofed_fields_are_replaced_by_the_gates_own(up: Running, protocol: str) -> None:
    if protocol == "1.1":
        response = await up.send(request(world.World(extra=SPOOFED)))
    else:
        async with Http2Client(up) as client:
            stream = client.post(world.World(extra=[(name.lower(), value) for name, value in SPOOFED]))
            response = await client.answer(stream)

    assert response.status == 200
    sent = up.upstream.fields()
    for name, value in OWN.items():
        assert [one for other, one in sent if other == name] == [value], name
    assert {value for _, value in SPOOFED if value != "1"}.isdisjoint(value for _, value in sent)
    identity = [name for name, _ in sent if name.startswith(("x-gateway-", "x-forwarded-", "x-client-", "x-ssl-"))]
    assert sorted(identity) == sorted([*OWN, "x-gateway-request-id"])


@pytest.mark.parametrize("name", ["X_Gateway_Partner", "x-gateway_partner", "X_Forwarded_For"])
async def test_look_alikes_are_refused(up: Running, name: str) -> None:
    made = get().replace(b"\r\n\r\n", f"\r\n{name}: blue-bingo\r\n\r\n".encode())

    assert (await up.send(made)).code == "http.field"
    assert up.upstream.untouched


async def test_a_spoofed_identity_opens_nothing(up: Running) -> None:
    spoofed = get(authorization=None, x_gateway_partner=world.PARTNER, x_gateway_token_subject=world.SUBJECT)

    assert (await up.send(spoofed, certificate="nobody")).code == "partner.unknown"
    assert up.upstream.untouched


async def test_connection_cannot_remove_what_was_verified(up: Running) -> None:
    for name in ("authorization", "x-signature", "x-gateway-partner"):
        assert (await up.send(get(connection=f"close, {name}"))).code == "http.field"

    assert up.upstream.untouched


async def test_connection_cannot_remove_what_was_verified_in_http2(up: Running) -> None:
    async with Http2Client(up) as client:
        stream = client.begin([*get_fields(), ("connection", "authorization")])
        await client.read(lambda: client.streams[stream].ended or client.goaway)

    assert up.upstream.untouched
