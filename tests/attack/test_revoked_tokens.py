"""What goes on with a token that was revoked: under another signature, and over a connection that was open before."""

import base64
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.revoke import revoke
from gateway.core.barred import Bar, Barred, Thing
from gateway.core.reasons import Reason
from gateway.state.revocations import barred, read_all
from tests import world
from tests.engine.harness import get, running
from tests.engine.test_websockets import feed, left, opened

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the curve P-256."""


def signed_otherwise(token: str) -> str:
    """Give the same token with another signature that verifies: an ECDSA signature (r, s) has a twin, (r, n - s)."""
    signed, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    twin = raw[:32] + (ORDER - int.from_bytes(raw[32:])).to_bytes(32)
    return f"{signed}.{base64.urlsafe_b64encode(twin).rstrip(b'=').decode()}"


async def test_a_revoked_token_stays_revoked_whichever_signature_it_has(tmp_path: Path) -> None:
    async with running(tmp_path) as up:
        tokens = [world.token(), signed_otherwise(world.token())]
        state = str(tmp_path / "state")
        assert [(await up.send(get(authorization=f"Bearer {token}"))).status for token in tokens] == [200, 200]

        why = ["--because", "INC-1", "--state", state]
        done = CliRunner().invoke(revoke, ["token", "--stdin", *why], input=tokens[0])
        assert done.exit_code == 0, done.output
        up.gate.barred = barred(read_all(tmp_path / "state"))
        assert [(await up.send(get(authorization=f"Bearer {token}"))).code for token in tokens] == ["revoked.token"] * 2
        other = world.token(world.claims(jti="another"))
        assert (await up.send(get(authorization=f"Bearer {other}"))).status == 200


@pytest.mark.direct
@pytest.mark.parametrize("thing", [Thing.SUBJECT, Thing.ISSUER_KEY, Thing.TOKEN_DIGEST])
async def test_a_websocket_ends_whatever_its_token_is_revoked_by(tmp_path: Path, thing: Thing) -> None:
    values = {
        Thing.SUBJECT: f"operator/{world.SUBJECT}",
        Thing.ISSUER_KEY: f"operator/{world.KEY_ID}",
        Thing.TOKEN_DIGEST: sha256(world.token().rpartition(".")[0].encode()).hexdigest(),
    }
    async with feed(tmp_path) as up, opened(up) as client:
        await client.send("odds")
        await client.recv()
        up.gate.barred = Barred({(thing, values[thing]): Bar(1, None)})
        up.master.standings.barred()
        await left(client)
        await up.until_finished()
        assert up.finished == [Reason.WEBSOCKET_ENDED]
