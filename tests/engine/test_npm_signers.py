"""HTTP Message Signatures end to end, from Node: packages of npm sign, Node's own client sends, the gate decides."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests import messages, node, world
from tests.engine.harness import serving
from tests.engine.services import POLICY, Folder, Served, again
from tests.mint import private_key

SIGNERS = {
    "http-message-signatures": ("ed25519", "ecdsa-p256-sha256", "ecdsa-p384-sha384", "hmac-sha256"),
    "http-message-sig": ("ed25519", "rsa-pss-sha512"),
}
ALGORITHMS = sorted({algorithm for algorithms in SIGNERS.values() for algorithm in algorithms})
COVERED = ["@method", "@target-uri", "authorization", "content-type", "content-digest"]
SCHEME = """\
  partner:
    type: http-message-signatures
    covered: ["@method", "@target-uri", authorization]
    nonce: required
"""
BODY = world.BODY.decode()
CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "body": ({"body": BODY.replace("2500", "9500")}, "signature.digest_mismatch"),
    "field": ({"headers": {"content-type": "application/jsom"}}, "signature.mismatch"),
}
"""What is changed after signing, and what the gate says to that."""


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Served]:
    """A service whose partner signs by RFC 9421, with a key of each algorithm."""
    text = POLICY.replace("{{", "{").replace("}}", "}")
    composed = text[text.index("  lines:") : text.index("\npartners:")]
    secret = '      - {id: acme-2026-11, algorithm: hmac-sha256, secret: "file:acme.secret"}\n'
    async with serving() as upstream:
        folder = Folder(tmp_path, upstream.port)
        folder.write()
        lines = ['{id: hmac-sha256, algorithm: hmac-sha256, secret: "file:acme.secret"}']
        for algorithm in ALGORITHMS:
            if algorithm in messages.KINDS:
                folder.put(f"{algorithm}.pem", messages.public_pem(algorithm))
                lines.append(f"{{id: {algorithm}, algorithm: {algorithm}, public_key: {algorithm}.pem}}")
        keys = "".join(f"      - {line}\n" for line in lines)
        folder.put_policy(**{composed: SCHEME, secret: keys, "scheme: lines": "scheme: partner"})
        async with again(folder, upstream) as service:
            yield service


def job(up: Served, signer: str, algorithm: str, nonce: str, **changed: Any) -> dict[str, Any]:
    """Give a job of sign.mjs: a deposit, signed and then sent."""
    secret = algorithm == "hmac-sha256"
    key = world.SIGNING_SECRET.decode() if secret else node.pem(private_key(messages.KINDS[algorithm], "partner"))
    return {
        "by": "send", "signer": signer, "algorithm": algorithm, "key": key, "keyId": algorithm, "nonce": nonce,
        "method": "POST", "url": f"https://localhost:{up.port}/v1/deposits", "body": BODY, "covered": COVERED,
        "headers": {"authorization": f"Bearer {world.token()}", "content-type": "application/json"},
        "created": int(world.NOW), "expires": int(world.NOW) + 60, "tag": "wallet",
        "certificate": f"{up.directory}/partner.pem", "ca": f"{up.directory}/operator-ca.pem", "changed": changed,
    }  # fmt: skip


@pytest.mark.parametrize("signer", SIGNERS)
async def test_a_signed_request_is_forwarded_and_a_changed_one_is_not(
    up: Served, signer: str, npm: node.Packages
) -> None:
    right = [job(up, signer, algorithm, f"right-{algorithm}") for algorithm in SIGNERS[signer]]
    wrong = [
        job(up, signer, algorithm, f"{what}-{algorithm}", **change)
        for algorithm in SIGNERS[signer]
        for what, (change, _) in CHANGES.items()
    ]
    answers = await npm.run_beside(*right, *wrong, right[0])

    assert [answer["status"] for answer in answers] == [200] * len(right) + [401] * len(wrong) + [409]
    assert up.upstream.bodies == [world.BODY] * len(right)
    refused = [record["status_code"] for record in up.folder.records("decision") if record["status_code"] != "allowed"]
    assert refused == [*(code for _, code in CHANGES.values())] * len(SIGNERS[signer]) + ["replay.seen"]
