"""Attacks on answers that the gate signs: by the upstream, and by whoever asks for signatures."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engine.harness import serving
from tests.engine.services import Folder, Served, again
from tests.engine.test_signed_responses import ask, verified, write


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving() as upstream:
        folder = Folder(tmp_path, upstream.port)
        write(folder)
        async with again(folder, upstream) as service:
            yield service


LINES = (
    b"Connection: signature, signature-input, content-digest",
    b"Connection: content-type",
    b"Signature: gateway=:AA==:",
    b'SIGNATURE-INPUT: gateway=("@status");created=1;keyid="gate-2026-11"',
    b"Content-Digest: sha-256=:AA==:, md5=:AA==:",
    b"Trailer: signature",
)
WISHES = (
    'mine=("@method" "@target-uri" "content-digest");created;keyid="gate-2026-11"',
    'mine=("@method";req "@target-uri";req);keyid="gate-2026-11"',
    'mine=("content-digest");tag="fapi-2-request"',
    'gateway=("@status");nonce="n"',
    'a=("@status"), b=("@status"), c=("@status")',
    'mine=("@status";req)',
    "mine=(" + '"@status" ' * 400 + ")",
)


@pytest.mark.parametrize("http2", [False, True])
async def test_an_upstream_neither_takes_the_signature_away_nor_makes_one(up: Served, http2: bool) -> None:
    for line in LINES:
        plain = b"\r\nContent-Type: text/plain\r\ncontent-length: 2\r\n\r\nok"
        up.upstream.answer = b"HTTP/1.1 200 OK\r\n" + line + plain
        answer = await ask(up, http2=http2)
        expected = 502 if line.startswith(b"Content-Digest") else 200  # it belies its own body
        assert answer.status_code == expected, line
        assert verified(answer).keys() == {"gateway"}
        assert answer.headers["signature-input"].count("gateway=(") == 1


async def test_nobody_has_the_gate_sign_what_passes_for_a_request(up: Served) -> None:
    for wish in WISHES:
        answer = await ask(up, accept_signature=wish)
        assert answer.status_code == 200, wish
        assert verified(answer).keys() == {"gateway"}
        assert "," not in answer.headers["signature"]
