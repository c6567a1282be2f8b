"""An issuer that is up, slow, down or answers garbage, and rotates its keys, while callers send tokens all the time.

What the gate must do follows from what the issuer has served it: it may take a token whose key was in the last key set
that it got, as long as that counts, and no other. Whoever has such a token never waits for the issuer.
"""

import asyncio
from pathlib import Path
from random import Random

import pytest
from joserfc.jwk import ECKey

from gateway.engine.issuers import Issuers
from tests.engine.harness import Response, Running, get, until
from tests.issuers.identity import IdentityProvider, page, trusting

FRESH, STALE = 30, 40
"""Seconds that a key set is not fetched anew, and that it counts after that while it cannot be."""

ROUNDS = 16
"""Half a minute each, so that keys rotate twice a minute."""

GARBAGE = (
    page(500, b""), page(200, b"<html>"), page(200, b'{"keys": []}'), page(200, b'{"keys": [{"kty": "EC", "d": "A"}]}'),
    page(200, b"{" * 5_000), b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n",
)  # fmt: skip

TAKEN, UNKNOWN, NO_KEYS, FORGED = "200", "token.key_unknown", "token.keys_unavailable", "token.signature"


class Storm:
    """A gate under load, and what its issuer has served it."""

    def __init__(self, up: Running, provider: IdentityProvider, issuers: Issuers, seed: int) -> None:
        self.up = up
        self.provider = provider
        self.issuers = issuers
        self.random = Random(seed)  # noqa: S311 - to be the same each time
        self.keys = list(provider.keys)
        """All that the issuer ever had."""
        self.state = "up"
        self._served = 0
        self._at = 0.0
        self._sent = 0

    def look(self) -> None:
        """Take note of when the issuer last served keys: the clock stands within a round."""
        if len(self.provider.served) > self._served:
            self._served, self._at = len(self.provider.served), self.up.time.now

    def counts(self, key: ECKey) -> bool:
        """Whether the gate has the key, as far as its issuer can tell."""
        lasts = self._at + FRESH + STALE
        return bool(self._served) and key.kid in self.provider.served[-1] and self.up.time.now < lasts

    async def send(self, key: ECKey, *, kid: str | None = None) -> str:
        """Send a token by a key; gives what came of it."""
        self._sent += 1
        now = int(self.up.time.now)
        named = key if kid is None else ECKey.import_key({**key.as_dict(private=True), "kid": kid})
        token = self.provider.token(named, iat=now, nbf=now, exp=now + 60, jti=f"t-{self._sent}")
        response: Response = await self.up.send(get(authorization=f"Bearer {token}"))
        return TAKEN if response.status == 200 else response.code

    async def change(self) -> None:
        """Half a minute passes; the issuer rotates, and goes from one state into another."""
        self.up.time.move(30)
        provider = self.provider
        if self.random.random() < 0.9:
            provider.rotate(keep=self.random.random() < 0.3)
            self.keys += provider.keys[-1:]
        if self.state == "down":
            await provider.restart()
        provider.raw = provider.held = None
        if self.random.random() < 0.5:  # outages last
            self.state = self.random.choice(("up", "slow", "garbage", "down"))
        if self.state == "down":
            await provider.stop()
        elif self.state == "slow":
            provider.held = asyncio.Event()
        elif self.state == "garbage":
            provider.raw = self.random.choice(GARBAGE)
        self.issuers.tick()
        if self.state in ("up", "down"):  # else an answer may be under way for long
            await self.settled()

    async def settled(self) -> None:
        """Wait until no fetch is under way: what the issuer has served, the gate has read."""
        await until(lambda: self.issuers.keys["operator"]._fetching is None)
        self.look()

    async def round(self) -> None:
        """Send tokens of keys that count, of others, and forged ones, all at once."""
        known = [key for key in self.keys if self.counts(key)]
        others = [key for key in self.keys if not self.counts(key)][-4:]
        late = [asyncio.ensure_future(self.send(key)) for key in others]
        # Answered while a slow issuer still holds back: nobody with a key that counts waits for it.
        served = self._served
        taken = await asyncio.gather(*(self.send(key) for key in known for _ in range(3)))
        forged = await asyncio.gather(*(self.send(ECKey.generate_key("P-256"), kid=key.kid) for key in known[-2:]))
        self.look()
        if self._served == served:  # else some were withdrawn meanwhile
            assert set(taken) <= {TAKEN}
            assert set(forged) <= {FORGED}
        assert set(forged) <= {FORGED, UNKNOWN}
        if self.provider.held is not None:
            self.provider.held.set()
        if self.provider.raw is not None and not self.provider.raw.startswith(b"HTTP/1.1 500"):
            # Half an answer ends with its connection.
            await self.provider.stop()
            await self.provider.restart()
        said = await asyncio.gather(*late)
        await self.settled()
        for key, code in zip(others, said, strict=True):
            assert code == TAKEN if self.counts(key) and code == TAKEN else code in (UNKNOWN, NO_KEYS), (key.kid, code)


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_the_issuer_does(tmp_path: Path, seed: int) -> None:
    async with trusting(tmp_path, refresh=float(FRESH), stale=float(STALE), timeout=20.0) as (up, provider, issuers):
        storm = Storm(up, provider, issuers, seed)
        for _ in range(ROUNDS):
            await storm.round()
            await storm.change()
        # Once it is up again, so is everything else.
        while storm.state != "up":
            await storm.change()
        up.time.move(600)
        assert await storm.send(provider.keys[-1]) == TAKEN
        assert len(provider.asked) <= 3 * ROUNDS  # some each half a minute, whatever callers send
