"""Tokens bound to a key: stolen, replayed and bent proofs, end to end."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.controls.dpop import Proofs
from gateway.core.reasons import Reason
from gateway.core.secret import Secret
from tests import proofs, world
from tests.engine.harness import Running, get, running

TOKEN = world.token(world.claims(cnf={"jkt": proofs.jkt()}, exp=int(world.NOW) + 530))
URI = f"https://{world.HOST}/v1/balance"


def proof(**changes: Any) -> str:
    return proofs.proof(TOKEN, **{"htm": "GET", "htu": URI, **changes})


def bound(directory: Path, **changes: Any) -> Any:
    """Bring up a gate whose routes take tokens with proofs alone."""
    control = world.token_control(bound_to="dpop", proofs=Proofs(**changes))
    return running(directory, route={"chain": world.chain(token=control, signature=None, replay=None, rate_limit=None)})


async def call(up: Running, sent: str | None, scheme: str = "DPoP") -> Any:
    return await up.send(get(authorization=f"{scheme} {TOKEN}", dpop=sent))


async def test_a_proof_is_taken_once(tmp_path: Path) -> None:
    async with bound(tmp_path) as up:
        sent = proof()
        assert (await call(up, sent)).status == 200
        again = await call(up, sent)
        assert (again.status, again.code) == (401, "token.proof_replayed")
        assert (await call(up, proof(jti="proof-2"))).status == 200
        assert len(up.upstream.requests) == 2


ROWS: dict[str, tuple[str | None, Reason]] = {
    "no proof": (None, Reason.TOKEN_PROOF),
    "another method": (proof(htm="POST"), Reason.TOKEN_PROOF),
    "another resource": (proof(htu=f"https://{world.HOST}/v1/deposits"), Reason.TOKEN_PROOF),
    "another host": (proof(htu="https://evil.example/v1/balance"), Reason.TOKEN_PROOF),
    "made in advance": (proof(iat=int(world.NOW) + 3600), Reason.TOKEN_PROOF),
    "old": (proof(iat=int(world.NOW) - 3600), Reason.TOKEN_PROOF),
    "for another token": (proof(ath=proofs.ath("another")), Reason.TOKEN_PROOF),
    "the thief's own key": (proof(key=proofs.OTHER_KEY), Reason.TOKEN_BINDING),
    "a key that is not the signer's": (
        proof(key=proofs.OTHER_KEY, header={"jwk": proofs.KEY.as_dict(private=False)}),
        Reason.TOKEN_PROOF,
    ),
    "an access token": (world.token(), Reason.TOKEN_PROOF),
    "much text": ("A" * 8_000, Reason.TOKEN_PROOF),
    "deep JSON": (f"{'[' * 1_000}.a.b", Reason.TOKEN_PROOF),
}


@pytest.mark.parametrize(("sent", "reason"), ROWS.values(), ids=ROWS)
async def test_a_proof_that_proves_nothing(tmp_path: Path, sent: str | None, reason: Reason) -> None:
    async with bound(tmp_path) as up:
        response = await call(up, sent)
        assert (response.status, response.code) == (reason.status, reason.code)
        assert response.fields["www-authenticate"].startswith("DPoP ")
        assert up.decided == [reason]
        assert up.upstream.untouched


async def test_a_stolen_token_is_no_bearer_token(tmp_path: Path) -> None:
    async with bound(tmp_path) as up:
        assert (await call(up, None, "Bearer")).code == "token.binding"
        assert up.upstream.untouched


async def test_a_client_gets_a_nonce_and_comes_back_with_it(tmp_path: Path) -> None:
    async with bound(tmp_path, nonce=Secret(b"n" * 32)) as up:
        first = await call(up, proof())
        assert (first.status, first.code) == (401, "token.proof_nonce")
        nonce = first.fields["dpop-nonce"]
        assert (await call(up, proof(nonce=nonce))).status == 200

        up.time.move(120)
        later = int(up.time.now)
        second = await call(up, proof(nonce=nonce, iat=later, jti="proof-2"))
        assert second.status == 200
        assert second.fields["dpop-nonce"] != nonce
        up.time.move(300)
        assert (await call(up, proof(nonce=nonce, iat=later + 300, jti="proof-3"))).code == "token.proof_nonce"


async def test_nothing_of_a_proof_reaches_the_log(tmp_path: Path) -> None:
    async with bound(tmp_path) as up:
        sent = proof()
        await call(up, sent)
        await call(up, sent[:-4] + "AAAA")
        log = b"".join(file.read_bytes() for file in (tmp_path / "audit").glob("*.jsonl"))
        assert not any(part.encode() in log for part in sent.split("."))
        assert json.loads(log.splitlines()[-1])
