"""What is asked of issuers while the gate serves: their keys, and whether tokens are good."""

import asyncio
from collections.abc import Mapping

from gateway.core.issuer import Introspection, KeySource
from gateway.core.policy import ClientCertificate, Policy
from gateway.engine.fetch import Fetcher
from gateway.engine.gate import Gate
from gateway.engine.introspection import Introspector
from gateway.engine.remote_keys import RemoteKeys
from gateway.signing.jwks import KeySet

_RETIRING: set[asyncio.Task[None]] = set()
"""Held until they are done, as the loop does not."""


class Issuers:
    """The issuers of a policy that are asked over the network."""

    def __init__(self, policy: Policy, gate: Gate) -> None:
        """Make what asks them; nothing is asked yet. Raises OSError or ssl.SSLError where a file cannot be used."""
        self.introspectors = {
            name: Introspector(name, asked, _client(asked), gate.clock)
            for name, issuer in policy.issuers.items()
            if (asked := issuer.introspection) is not None
        }
        self.keys = {
            name: RemoteKeys(
                issuer, source, Fetcher(source.ca, timeout=source.timeout), gate.clock.monotonic, gate.hear
            )
            for name, issuer in policy.issuers.items()
            if isinstance(source := issuer.keys, KeySource)
        }

    def key_sets(self, read: Mapping[str, KeySet]) -> Mapping[str, KeySet | RemoteKeys]:
        """Give the keys of all issuers: those that were read from files, and those that are fetched."""
        return {**read, **self.keys}

    def tick(self) -> None:
        """Begin whatever it is time for."""
        for keys in self.keys.values():
            keys.tick()

    def follow(self, old: "Issuers") -> None:
        """Take over what is known under the policy before."""
        for name, keys in self.keys.items():
            if name in old.keys:
                keys.follow(old.keys[name])

    def retire(self) -> None:
        """Close once what is under way has ended: requests under the policy before may wait for it."""
        for each in self._all():
            task = asyncio.get_running_loop().create_task(each.close(cut=False))
            _RETIRING.add(task)
            task.add_done_callback(_RETIRING.discard)

    async def close(self) -> None:
        """End what is under way, and close the connections."""
        for each in self._all():
            await each.close()

    def _all(self) -> list[RemoteKeys | Introspector]:
        return [*self.keys.values(), *self.introspectors.values()]


def _client(asked: Introspection) -> Fetcher:
    own = None
    if asked.certificate is not None and asked.key is not None:
        own = ClientCertificate(asked.certificate, asked.key)
    return Fetcher(asked.ca, own, timeout=asked.timeout)
