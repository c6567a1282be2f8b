"""Revocation by lists: at the handshake, while a connection stands, when a list changes or goes out of date."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509 import ocsp

from gateway.core.reasons import Reason
from gateway.engine import service as service_module
from gateway.engine import standings
from tests.crls import DAY, crl, pem
from tests.engine import pki
from tests.engine.harness import get, read_response, read_to_end, request, until
from tests.engine.http2 import Http2Client, get_fields
from tests.engine.services import Folder, Served, again, serving
from tests.engine.upstream import Held
from tests.unit.pki.test_ocsp import answer
from tests.world import NOW

CA = "client_ca: partners-ca.pem"
LISTED = {CA: f"{CA}, revocation: {{lists: [partners.crl], on_stale: allow-until 6h}}"}


def put_list(folder: Folder, *revoked: str, **options: Any) -> None:
    """Publish the list of the partners' CA."""
    clients = pki.pki().clients
    folder.put("partners.crl", pem(crl(pki.pki().partners, *(clients[name] for name in revoked), **options)))


@pytest.fixture
async def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """A service with a list that nobody is on, and that looks at its files all the time."""
    monkeypatch.setattr(service_module, "TICK_SECONDS", 0.005)
    async with serving() as upstream:
        folder = Folder(tmp_path, upstream.port)
        folder.write()
        put_list(folder)
        folder.put_policy(**LISTED)
        async with again(folder, upstream) as service:
            yield service


async def refused(up: Served) -> str:
    """Try to come in; give the reason for which that was refused."""
    count = up.folder.kinds().count("connection")
    reader, writer = await up.connect()
    writer.write(get())
    assert await read_to_end(reader) == b""
    writer.close()
    await up.until_recorded("connection", count + 1)
    return str(up.folder.records("connection")[-1]["status_code"])


async def test_who_is_not_on_the_list_comes_in(up: Served) -> None:
    assert (await up.send(get())).status == 200


async def test_who_is_on_the_list_does_not(up: Served) -> None:
    put_list(up.folder, "partner")
    await up.until_recorded("policy.loaded")

    assert await refused(up) == "tls.certificate_revoked"

    assert up.upstream.untouched
    (record,) = up.folder.records("connection")
    assert "CN=casino" in record["status_detail"]
    assert "is on the list of CN=Partners CA" in record["status_detail"]
    assert record["tls"]["certificate"]["subject"] == "CN=casino,O=Acme"


async def test_a_certificate_that_is_revoked_while_its_connection_stands(up: Served) -> None:
    reader, writer = await up.connect()
    writer.write(get())
    assert (await read_response(reader)).status == 200

    put_list(up.folder, "other", "partner")
    await up.until_recorded("connection.cut")

    assert await read_to_end(reader) == b""
    writer.close()
    (cut,) = up.folder.records("connection.cut")
    (decision,) = up.folder.records("decision")
    assert cut["status_code"] == "certificate.revoked"
    assert cut["metadata"]["correlation_uid"] == decision["unmapped"]["connection_id"]
    assert cut["tls"] == decision["unmapped"]["tls"]


async def test_somebody_elses_connection_stays(up: Served) -> None:
    reader, writer = await up.connect()
    writer.write(get())
    await read_response(reader)
    put_list(up.folder, "other")
    await up.until_recorded("policy.loaded")

    writer.write(get())

    assert (await read_response(reader)).status == 200
    writer.close()
    assert "connection.cut" not in up.folder.kinds()


async def test_a_request_that_was_allowed_comes_to_its_outcome(up: Served) -> None:
    held = Held(up.upstream)
    reader, writer = await up.connect()
    writer.write(get())
    await held.reached.wait()
    put_list(up.folder, "partner")
    await up.until_recorded("connection.cut")

    held.go_on.set()

    assert (await read_response(reader)).status == 200
    assert b" 200 " not in await read_to_end(reader)
    writer.close()


async def test_a_request_that_is_not_decided_yet_is_denied(up: Served) -> None:
    reader, writer = await up.connect()
    made = request()
    writer.write(made[:-5])
    await until(lambda: any(one.open_requests for one in up.service.master.handlers))
    put_list(up.folder, "partner")
    await up.until_recorded("connection.cut")

    writer.write(made[-5:])

    response = await read_response(reader)
    assert (response.status, response.code) == (403, "certificate.revoked")
    assert await read_to_end(reader) == b""
    writer.close()
    assert up.upstream.untouched


async def test_a_request_that_never_ends_is_broken_off(up: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standings, "CUT_SECONDS", 0.0)
    held = Held(up.upstream)
    reader, writer = await up.connect()
    writer.write(get())
    await held.reached.wait()

    put_list(up.folder, "partner")

    assert await read_to_end(reader) == b""
    writer.close()
    await up.until_recorded("outcome")
    held.go_on.set()


async def test_no_stream_begins_on_a_connection_that_was_cut(up: Served) -> None:
    held = Held(up.upstream)
    async with Http2Client(up) as client:
        first = client.begin(get_fields())
        await held.reached.wait()
        put_list(up.folder, "partner")
        await up.until_recorded("connection.cut")

        assert (await client.answer(client.begin(get_fields()))).code == "gate.draining"

        held.go_on.set()
        assert (await client.answer(first)).status == 200
        await client.read_to_end()
    assert len(up.upstream.requests) == 1


async def test_a_list_that_goes_out_of_date_and_is_renewed(up: Served) -> None:
    reader, writer = await up.connect()
    writer.write(get())
    await read_response(reader)

    up.time.move(DAY + 60)
    await up.until_recorded("control.failed")
    (failed,) = up.folder.records("control.failed")
    assert failed["unmapped"]["control"] == "revocation:CN=Partners CA"
    assert "connection.cut" not in up.folder.kinds()

    up.time.move(6 * 3600)
    await up.until_recorded("connection.cut")
    assert await read_to_end(reader) == b""
    writer.close()
    assert up.folder.records("connection.cut")[0]["status_code"] == "certificate.status_unknown"
    assert await refused(up) == "tls.certificate_status"

    put_list(up.folder, at=up.time.now - 60, ends=up.time.now + DAY)
    await up.until_recorded("control.recovered")
    reader, writer = await up.connect()
    writer.write(get())
    assert (await read_response(reader)).code == "token.expired"  # let in; its token is a day old
    writer.close()


async def test_a_list_that_cannot_be_read_leaves_the_one_before_in_force(up: Served) -> None:
    put_list(up.folder, "partner")
    await up.until_recorded("policy.loaded")
    up.folder.put("partners.crl", b"-----BEGIN X509 CRL-----")
    await up.until_recorded("policy.refused")

    assert await refused(up) == "tls.certificate_revoked"


async def test_a_partner_that_is_removed(up: Served) -> None:
    reader, writer = await up.connect()
    writer.write(get())
    await read_response(reader)

    up.folder.put_policy(**LISTED, **{"spiffe://acme.example/casino": "spiffe://acme.example/slots"})
    await up.until_recorded("connection.cut")

    assert await read_to_end(reader) == b""
    writer.close()
    assert up.folder.records("connection.cut")[0]["status_code"] == Reason.PARTNER_UNKNOWN.code


async def test_a_certificate_that_ends(up: Served) -> None:
    put_list(up.folder, ends=up.time.now + 3650 * DAY)
    await up.until_recorded("policy.loaded")
    reader, writer = await up.connect()
    writer.write(get())
    await read_response(reader)

    up.time.now = pki.VALID.not_after
    up.time.move(1)
    await up.until_recorded("connection.cut")

    assert await read_to_end(reader) == b""
    writer.close()
    assert up.folder.records("connection.cut")[0]["status_code"] == "certificate.expired"


# Over the network: here by a responder, which `tests/pki` has real ones of


def answered(status: ocsp.OCSPCertStatus, at: float = NOW - 60) -> bytes:
    """Give what the responder of the partners' CA says of the partner's certificate."""
    made, issuer = pki.pki(), pki.pki().partners.credential
    body = answer(
        status, about=made.clients["partner"], issuer=made.partners, by=(issuer.certificate, issuer.key),
        at=at, ends=NOW + 10 * DAY,
    )  # fmt: skip
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


async def test_a_responder_is_asked_until_it_tells_that_the_certificate_is_revoked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "TICK_SECONDS", 0.005)
    async with serving() as upstream, serving() as responder:
        folder = Folder(tmp_path, upstream.port)
        folder.write()
        url = f"http://127.0.0.1:{responder.port}/"
        folder.put_policy(**{CA: f'{CA}, revocation: {{ocsp: {{responder: "{url}"}}}}'})
        responder.answer = answered(ocsp.OCSPCertStatus.GOOD)
        async with again(folder, upstream) as up:
            reader, writer = await up.connect()
            writer.write(get())
            assert (await read_response(reader)).status == 200

            responder.answer = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
            up.time.ahead += 3_600
            await up.until_recorded("control.failed")
            assert up.folder.records("control.failed")[0]["unmapped"]["control"] == f"revocation.ocsp:{url}"
            writer.write(get())
            assert (await read_response(reader)).status == 200  # what it said before has not ended

            responder.answer = answered(ocsp.OCSPCertStatus.REVOKED, NOW)
            up.time.ahead += 3_600
            await up.until_recorded("connection.cut")
            assert await read_to_end(reader) == b""
            writer.close()
            assert await refused(up) == "tls.certificate_revoked"

            loaded = folder.kinds().count("policy.loaded")
            folder.put_policy()
            await up.until_recorded("policy.loaded", loaded + 1)
            assert up.service.remote.learnt.answers == {}
