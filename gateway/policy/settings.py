"""What a route says of each control, made into the control. `routes` takes care of `{off: …}`."""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.controls.ip_allowlist import IpAllowlist
from gateway.controls.mutual_tls import MutualTls
from gateway.controls.replay import Replay
from gateway.controls.signature import SignatureControl
from gateway.core.chain import Control
from gateway.core.issuer import Issuer
from gateway.core.networks import NetworkSet
from gateway.policy.concurrency import read_concurrency
from gateway.policy.extensions import Extensions
from gateway.policy.money import read_idempotency, read_velocity
from gateway.policy.nodes import MappingNode, Node, ScalarNode
from gateway.policy.partner_rates import read_route_rates
from gateway.policy.reader import Reader
from gateway.policy.references import authority_keys
from gateway.policy.tables import Table
from gateway.policy.token_settings import TokenSettings
from gateway.policy.values import Unfit, duration, duration_or_zero, network
from gateway.signing.scheme import Scheme
from gateway.signing.window import Window

DEFAULT_AHEAD = 10.0
"""Seconds a signed timestamp may lie ahead: what FAPI 2.0 asks to be tolerated of clocks."""

MAX_WINDOW = 86_400.0
"""Seconds; every nonce is remembered for as long."""

_TIMELESS = Window(max_age=1.0, max_ahead=0.0)
"""For schemes without timestamp, which never ask it: as short as can be, since the widest window of a policy counts
for what the replay memory must know."""


class Settings:
    """Makes controls of their settings on a route."""

    def __init__(
        self, reader: Reader, issuers: Table[Issuer], schemes: Table[Scheme[Any]], extensions: Extensions
    ) -> None:
        self._reader = reader
        self._schemes = schemes
        self._extensions = extensions
        self._readers: Mapping[str, Callable[[Node], Control | None]] = {
            "mutual_tls": self._mutual_tls,
            "ip_allowlist": self._ip_allowlist,
            "token": TokenSettings(reader, issuers).read,
            "rate_limit": lambda node: read_route_rates(reader, node),
            "signature": self._signature,
            "replay": self._replay,
            "concurrency": lambda node: read_concurrency(reader, node),
            "idempotency": lambda node: read_idempotency(reader, node),
            "velocity": lambda node: read_velocity(reader, node),
        }

    def read(self, control: str, node: Node) -> Control | None:
        """Make the control of this name."""
        read = self._readers.get(control)
        return read(node) if read is not None else self._extensions.compile(control, self._reader, node)

    def _mutual_tls(self, node: Node) -> MutualTls | None:
        if not isinstance(node, MappingNode):
            return MutualTls() if self._required(node) else None
        fields = self._reader.fields(node, required=("ca",)) or {}
        keys = authority_keys(self._reader, fields.get("ca"))
        return MutualTls(keys) if keys is not None else None

    def _required(self, node: Node) -> bool:
        return self._reader.choice(node, ("required",)) is not None

    def _ip_allowlist(self, node: Node) -> IpAllowlist | None:
        if isinstance(node, ScalarNode):
            whose = self._reader.choice(node, ("partner",), "setting; networks stand in a list")
            return IpAllowlist(None) if whose is not None else None
        networks = self._reader.values(node, network, "networks")
        return IpAllowlist(NetworkSet(networks)) if networks is not None else None

    def _signature(self, node: Node) -> SignatureControl | None:
        fields = self._reader.fields(node, required=("scheme",), optional=("max_age", "max_ahead"))
        if fields is None:
            return None
        scheme = self._schemes.find(self._reader, fields.get("scheme"))
        age = self._reader.value(fields.get("max_age"), _age)
        ahead = self._reader.value_or(fields.get("max_ahead"), _ahead, DEFAULT_AHEAD)
        if scheme is None:
            return None
        if not scheme.dated:
            self._refuse_window(fields)
            return SignatureControl(scheme, _TIMELESS)
        if "max_age" not in fields:
            self._reader.error(node, "`max_age` is missing", "expected how old a signature may be, such as 60s")
        return SignatureControl(scheme, Window(age, ahead)) if age is not None else None

    def _refuse_window(self, fields: Mapping[str, Node]) -> None:
        for key in ("max_age", "max_ahead"):
            if key in fields:
                hint = "remove it, or add a timestamp to the scheme"
                self._reader.error(fields[key], "the scheme has no timestamp that could be too old or ahead", hint)

    def _replay(self, node: Node) -> Replay | None:
        if isinstance(node, ScalarNode):
            return Replay() if self._required(node) else None
        errors = self._reader.errors
        fields = self._reader.fields(node, optional=("remember", "on_repeat"))
        if fields is None:
            return None
        remember = self._reader.value(fields.get("remember"), duration)
        answers = self._reader.choice(fields.get("on_repeat"), ("deny", "replay-answer")) == "replay-answer"
        if not fields and self._reader.errors == errors:
            self._reader.error(
                node, "says nothing", "expected `required`, {remember: 24h} or {on_repeat: replay-answer}"
            )
        return Replay(remember, answers) if self._reader.errors == errors else None


def _age(text: str) -> float:
    return _within_a_day(duration(text))


def _ahead(text: str) -> float:
    return _within_a_day(duration_or_zero(text))


def _within_a_day(seconds: float) -> float:
    if seconds > MAX_WINDOW:
        raise Unfit("a window of more than a day", "at most 24h: nonces are remembered for as long")
    return seconds
