"""`gateway revoke` beside a gate that serves: at once, without a reload, recorded, and over a restart."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.lockout import lockout
from gateway.cli.revoke import revoke
from gateway.engine import barring
from gateway.state.revocations import NAME
from tests import world
from tests.engine import pki
from tests.engine.harness import get, read_response, read_to_end
from tests.engine.services import Served, again, served


@pytest.fixture
async def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """A service that looks at the journal all the time."""
    monkeypatch.setattr(barring, "LOOK_SECONDS", 0.005)
    async with served(tmp_path) as service:
        yield service


def run(folder: Path, *arguments: str) -> None:
    result = CliRunner().invoke(revoke, [*arguments, "--because", "INC-1", "--by", "maria", "--state", str(folder)])
    assert result.exit_code == 0, result.output


async def test_a_suspended_partner_and_one_that_is_back(up: Served) -> None:
    state = up.directory / "state"
    assert (await up.send(get())).status == 200

    run(state, "partner", world.PARTNER)
    await up.until_recorded("revocation.added")
    response = await up.send(get())
    assert (response.status, response.code) == (403, "revoked.partner")

    run(state, "lift", "1")
    await up.until_recorded("revocation.lifted")
    assert (await up.send(get())).status == 200
    assert len(up.upstream.requests) == 2
    (added,) = up.folder.records("revocation.added")
    assert added["actor"]["user"]["name"] == "maria"
    assert added["entity"] == {"type": "partner", "type_id": 99, "uid": world.PARTNER}


@pytest.mark.parametrize("what", ["partner", "certificate"])
async def test_connections_that_stand_are_cut_at_once(up: Served, what: str) -> None:
    state, file = up.directory / "state", str(up.directory / "partner.pem")
    reader, writer = await up.connect()
    other, other_writer = await up.connect(tls=pki.client_context(up.directory, "other"))
    writer.write(get())
    assert (await read_response(reader)).status == 200

    run(state, what, world.PARTNER if what == "partner" else file)

    assert await read_to_end(reader) == b""
    writer.close()
    await up.until_recorded("connection.cut")
    (cut,) = up.folder.records("connection.cut")
    assert (cut["status_code"], cut["status_detail"]) == (f"revoked.{what}", "number 1")
    assert cut["tls"]["certificate"]["subject"] == "CN=casino,O=Acme"
    other_writer.write(get())
    assert (await read_response(other)).code == "partner.unknown", "it stands, and is nobody's"
    other_writer.close()
    assert (await up.send(get())).code == f"revoked.{what}"


async def test_a_token_by_its_id(up: Served) -> None:
    run(up.directory / "state", "token", "token-1", "--issuer", "operator")
    await up.until_recorded("revocation.added")

    response = await up.send(get())

    assert (response.status, response.code) == (401, "revoked.token")
    assert response.fields["www-authenticate"] == 'Bearer realm="gateway", error="invalid_token"'
    other = get(authorization=f"Bearer {world.token(world.claims(jti='token-2'))}")
    assert (await up.send(other)).status == 200


async def test_revocations_outlive_a_restart(up: Served) -> None:
    run(up.directory / "state", "key", world.KEY_ID, "--issuer", "operator")
    await up.until_recorded("revocation.added")
    assert await up.stop() == 0

    async with again(up.folder, up.upstream) as after:
        assert (await after.send(get())).code == "revoked.key"
        assert len(up.folder.records("revocation.added")) == 1


async def test_a_caller_that_fails_too_often_is_locked_out_until_that_is_lifted(up: Served) -> None:
    up.folder.put_policy(**{"upstreams:": "lockout: {after: 3}\nupstreams:"})
    up.service.request_reload("signal")
    await up.until_recorded("policy.loaded")
    forged = get(authorization=f"Bearer {world.token(key=world.private_key('P-256', 'attacker'))}")

    codes = [(await up.send(forged)).code for _ in range(4)]
    assert codes == ["token.signature"] * 3 + ["lockout.locked"]
    assert (await up.send(get())).status == 403
    await up.until_recorded("lockout.began")

    result = CliRunner().invoke(lockout, ["lift", "1", "--because", "x", "--state", str(up.directory / "state")])
    assert result.exit_code == 0
    await up.until_recorded("lockout.lifted")
    assert (await up.send(get())).status == 200
    (began,) = up.folder.records("lockout.began")
    assert began["actor"]["user"]["name"] == "gate"
    assert began["entity"]["uid"] == world.PARTNER


async def test_a_journal_that_is_damaged_while_the_gate_serves(up: Served) -> None:
    journal = up.directory / "state" / NAME
    run(journal.parent, "partner", "nobody")
    good = journal.read_bytes()
    journal.write_bytes(good + b"nonsense\n")
    await up.until_recorded("control.failed")
    response = await up.send(get())
    assert (response.status, response.code) == (503, "gate.revocations_unreadable")

    journal.write_bytes(good)
    await up.until_recorded("control.recovered")
    assert (await up.send(get())).status == 200


async def test_a_journal_that_was_damaged_before_keeps_the_gate_from_starting(up: Served) -> None:
    assert await up.stop() == 0
    (up.directory / "state" / NAME).write_bytes(b"nonsense\n")
    with pytest.raises(Exception, match="a line is damaged"):
        async with again(up.folder, up.upstream):
            pass
    (up.directory / "state" / NAME).unlink()
