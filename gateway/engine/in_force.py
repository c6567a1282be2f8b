"""What decides about requests at one time."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.audit.events import PolicyFacts
from gateway.core.chain import Answer, Ask, FetchKeys, Introspect
from gateway.core.policy import Policy
from gateway.core.reasons import Reason, Unavailable
from gateway.engine.introspection import Introspector
from gateway.engine.remote_keys import RemoteKeys
from gateway.engine.revocation import RevocationCheck
from gateway.signing.jwks import KeySet


@dataclass(frozen=True, slots=True)
class InForce:
    """One policy and what was read with it; swapped whole on a reload."""

    policy: Policy
    key_sets: Mapping[str, KeySet | RemoteKeys]
    revocation: Mapping[str, RevocationCheck] = field(default_factory=dict)
    """By the name of the listener; those that do not check it are left out."""

    introspectors: Mapping[str, Introspector] = field(default_factory=dict)
    """By the name of the issuer that is asked about tokens."""

    def answer(self, ask: FetchKeys | Introspect) -> Answer:
        """Answer what is asked of an issuer, with an awaitable where that takes time. Raises Unavailable."""
        if isinstance(ask, Introspect):
            return self.introspectors[ask.issuer].answer(ask)
        keys = self.key_sets.get(ask.issuer)
        if keys is None:
            raise Unavailable(Reason.TOKEN_KEYS_UNAVAILABLE, f"no key set of {ask.issuer}")
        return keys.answer(ask) if isinstance(keys, RemoteKeys) else keys

    @property
    def facts(self) -> PolicyFacts:
        """The policy's name and digest, for records."""
        return PolicyFacts(self.policy.name, self.policy.digest)


def who_answers(ask: Ask) -> str:
    """Name what answers an ask, as records of its failure do."""
    if isinstance(ask, FetchKeys):
        return f"token.keys:{ask.issuer}"
    return f"token.introspection:{ask.issuer}" if isinstance(ask, Introspect) else "state"
