"""What the gate signs itself: `sign_responses` of a policy and of a route, `sign` of an upstream."""

from typing import Any

from gateway.core.policy import SwitchedOff
from gateway.core.secret import Secret
from gateway.policy.gateway_keys import PARTNER
from gateway.policy.nodes import Node, ScalarNode
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader
from gateway.policy.tables import Table
from gateway.policy.values import Unfit, size
from gateway.signing.outward import ANSWER_LIMIT, SignedAnswers, SignedRequests
from gateway.signing.own import OwnKey
from gateway.signing.scheme import Scheme
from gateway.signing.secret_algorithms import SECRET_ALGORITHMS

MOST_HELD = 67_108_864
"""Bytes of an answer: each request under way may hold as much."""

SIGN_RESPONSES = "sign_responses"


class Outward:
    """Reads how answers and requests are signed."""

    def __init__(self, reader: Reader, schemes: Table[Scheme[Any]], keys: Table[OwnKey]) -> None:
        self._reader = reader
        self._schemes = schemes
        self._keys = keys
        self.everywhere: SignedAnswers | None = None
        """How answers are signed where a route says nothing of it."""

    def answers_of_route(self, node: Node | None) -> SignedAnswers | SwitchedOff | None:
        """Read what a route says, which may be that its answers are not signed, and why."""
        if node is None:
            return None
        off = self._reader.switched_off(node, SIGN_RESPONSES)
        return off if off is not None or self._reader.refuse_bare_off(node) else self.answers(node)

    def requests(self, node: Node | None) -> SignedRequests | None:
        """Read how requests to an upstream are signed."""
        fields = self._reader.fields(node, required=("scheme", "key"))
        if fields is None:
            return None
        scheme = self._schemes.find(self._reader, fields.get("scheme"))
        key_node = fields.get("key")
        key = self._keys.find(self._reader, key_node)
        if scheme is None or key_node is None or key is None:
            return None
        self._check_algorithm(key_node, key, scheme)
        return SignedRequests(scheme, key)

    def _check_algorithm(self, node: Node, key: OwnKey, scheme: Scheme[Any]) -> bool:
        if key.algorithm in scheme.algorithms:
            return True
        hint = f"expected one for {', '.join(sorted(scheme.algorithms))}"
        self._reader.error(node, f"gateway key {quoted(key.id)} is for {key.algorithm}", hint)
        return False

    def answers(self, node: Node | None) -> SignedAnswers | None:
        """Read how answers are signed."""
        fields = self._reader.fields(node, required=("scheme", "key"), optional=("limit",))
        if fields is None:
            return None
        limit = self._reader.value_or(fields.get("limit"), _limit, ANSWER_LIMIT)
        scheme = self._schemes.find(self._reader, fields.get("scheme"))
        key_node = fields.get("key")
        shared = isinstance(key_node, ScalarNode) and key_node.text == PARTNER
        key = None if shared else self._keys.find(self._reader, key_node)
        if scheme is None or key_node is None or (key is None and not shared):
            return None
        if getattr(scheme, "carried_in_query", False):
            hint = "expected a scheme that signs in fields or in the body"
            self._reader.error(
                fields["scheme"], f"scheme {quoted(scheme.name)} puts its signature into the query", hint
            )
            return None
        secrets = frozenset(scheme.algorithms & SECRET_ALGORITHMS.keys())
        if key is None:
            if not secrets:
                hint = f"name one of `gateway_keys`: it signs by {', '.join(sorted(scheme.algorithms))}"
                self._reader.error(key_node, f"scheme {quoted(scheme.name)} knows no shared secrets", hint)
            elif not hasattr(scheme, "sign_answer"):
                hint = "an http-message-signatures scheme signs the status with it, which no request has"
                self._reader.warning(key_node, "an answer signed like this could be sent back as a request", hint)
        elif self._check_algorithm(key_node, key, scheme) and isinstance(key.material, Secret):
            hint = "sign with a private key, or write `key: partner` for each caller's own secret"
            self._reader.warning(key_node, "whoever can verify these answers can forge them for the others", hint)
        return SignedAnswers(scheme, key, secrets, limit)


def _limit(text: str) -> int:
    found = size(text)
    if not 0 < found <= MOST_HELD:
        raise Unfit(f"{quoted(text)} is no limit for answers", f"from 1B to {MOST_HELD // 1_048_576}MiB")
    return found
