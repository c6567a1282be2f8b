"""Certificates that are there to be slow: refused before OpenSSL, or anybody else, reads them.

What passes costs 30 ms of CPU at most, measured when the bounds were chosen (docs/identity.md); here they are counted.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.core.reasons import Reason
from tests import offers
from tests.engine import pki
from tests.engine.harness import Running, get, read_to_end

COSTLY = Reason.TLS_CERTIFICATE_COSTLY


def odd(info: bytes) -> bytes:
    return offers.certificate(info)


@pytest.mark.parametrize(
    ("along", "reason"),
    [
        ([odd(offers.spelt_out())], COSTLY),
        ([odd(offers.curve(offers.SECT571))], COSTLY),
        ([odd(offers.rsa(16_384))], COSTLY),
        ([odd(offers.rsa(3_072, (1 << 3_070) + 1))], COSTLY),
        ([odd(offers.good_key())] * 8, COSTLY),
        ([offers.certificate(offers.good_key(), extra=8_192)], COSTLY),
        ([offers.certificate(offers.good_key(), extra=90_000)], COSTLY),
        ([odd(offers.curve(offers.P224))], Reason.TLS_CERTIFICATE_WEAK),
    ],
    ids=["spelt-out", "sect571", "rsa-16384", "exponent", "nine", "statements", "bytes", "p-224"],
)
async def test_what_is_sent_along_to_be_slow(up: Running, along: list[bytes], reason: Reason) -> None:
    context = offers.client(up.directory, *along)
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        reader, writer = await up.connect(tls=context)
        writer.write(get())
        assert await read_to_end(reader) == b""

    await up.until_refused()
    assert up.refused == [reason]
    assert not up.decided
    assert up.upstream.untouched


async def test_others_are_served_while_somebody_sends_such_chains(up: Running) -> None:
    bad = offers.client(up.directory, odd(offers.spelt_out()))

    async def attack() -> None:
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            reader, writer = await up.connect(tls=bad)
            writer.write(get())
            await read_to_end(reader)

    async def serve() -> int:
        return (await up.send(get())).status

    results = await asyncio.gather(attack(), serve(), attack(), serve(), attack())
    assert [each for each in results if each is not None] == [200, 200]
    await up.until_refused(3)
    assert up.refused == [COSTLY] * 3


@pytest.mark.parametrize("make", [offers.spelt_out, lambda: offers.curve(offers.SECT571)])
async def test_the_clients_own_key_too(up: Running, tmp_path: Path, make: Callable[[], bytes]) -> None:
    """OpenSSL's client does not show a certificate that its key does not fit: so one speaks for it."""
    del tmp_path
    partner = ssl.PEM_cert_to_DER_cert(pki.pki().clients["partner"].certificate_pem().decode())
    context = offers.client(up.directory, odd(make()), first=partner)
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        reader, writer = await up.connect(tls=context)
        writer.write(get())
        assert await read_to_end(reader) == b""
    await up.until_refused()
    assert up.refused == [COSTLY]
