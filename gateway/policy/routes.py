"""The section `routes`: what a request must be about, who may send it, and which controls it must pass."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.controls.demands import TokenBody
from gateway.controls.signature import SignatureControl
from gateway.controls.token import TokenControl
from gateway.controls.websocket import WebSocketHandshake
from gateway.core.chain import BODY_RULES, ORDER, Control
from gateway.core.outgoing import AnswerSigner
from gateway.core.policy import Match, Route, SignedBy, SwitchedOff, Upstream, WebSocketSettings
from gateway.core.reasons import Denied
from gateway.core.routing import is_parameter
from gateway.core.syntax import KNOWN_METHODS, read_head
from gateway.policy.inventory import Owner
from gateway.policy.nodes import MappingNode, Node, ScalarNode
from gateway.policy.outward import Outward
from gateway.policy.partner_rates import chosen
from gateway.policy.partners import PartnerEntry
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader, suggestion
from gateway.policy.settings import Settings
from gateway.policy.tables import Table
from gateway.policy.values import Unfit, host, name, size
from gateway.policy.websockets import read_websocket
from gateway.signing.outward import SignedAnswers

METHODS = tuple(sorted(method.decode() for method in KNOWN_METHODS))

DEFAULT_BODY = 65_536
"""Bytes."""

_HINTS = {
    "mutual_tls": "required",
    "ip_allowlist": "partner",
    "token": "{issuer: NAME, audience: TEXT}",
    "rate_limit": '["50/second per partner"]',
    "signature": "{scheme: NAME, max_age: 60s}",
    "replay": "required",
}

type Setting = Control | SwitchedOff | None
"""What a route says of a control; None where it says nothing, or nothing that could be understood."""


@dataclass(frozen=True, slots=True)
class RouteEntry:
    """A route as far as it could be understood, and the nodes that problems point at."""

    node: MappingNode
    nodes: Mapping[str, Node]
    name: str | None
    match: Match | None
    upstream: Upstream | None
    partners: Sequence[tuple[Node, PartnerEntry | None]] | None
    """None: not said, or switched off in words."""
    partners_off: SwitchedOff | None
    settings: Mapping[str, Setting]
    """By control, in the order of the chain."""
    body_limit: int
    answers: AnswerSigner | SwitchedOff | None = None
    """None: as the policy says for all routes."""
    websocket: tuple[WebSocketSettings, WebSocketHandshake] | None = None

    def control[T](self, kind: type[T]) -> T | None:
        """Give the route's control of a kind."""
        return next((setting for setting in self.settings.values() if isinstance(setting, kind)), None)

    def entries(self, everyone: Mapping[str, PartnerEntry]) -> Sequence[PartnerEntry]:
        """Give the partners that may call: those listed, or everyone where the policy switched that off."""
        if self.partners_off is not None:
            return tuple(everyone.values())
        return [entry for _, entry in self.partners or () if entry is not None]

    def compiled(self, everyone: Mapping[str, PartnerEntry], answers: AnswerSigner | None = None) -> Route:
        """Give the route of the core, whose answers are signed by `answers` unless it says otherwise.

        Only for one without problems.
        """
        assert self.name is not None
        assert self.match is not None
        assert self.upstream is not None
        listed = frozenset(entry.partner.name for entry in self.entries({}))
        rates = self.settings.get("rate_limit")
        own = {entry.partner.name: entry.own for entry in self.entries(everyone)}
        settings = {**self.settings, "rate_limit": chosen(rates, self.name, own) or rates}
        off = [each for each in (*self.settings.values(), self.answers) if isinstance(each, SwitchedOff)]
        return Route(
            name=self.name,
            match=self.match,
            upstream=self.upstream,
            partners=listed if self.partners_off is None else None,
            chain=(
                *_named(settings, lambda each: each not in BODY_RULES),
                *self._last(),
                *_named(settings, BODY_RULES.__contains__),
            ),
            switched_off=(*([self.partners_off] if self.partners_off is not None else ()), *off),
            body_limit=self.body_limit,
            signed_by=self._signed_by(),
            answers=None if isinstance(self.answers, SwitchedOff) else self.answers or answers,
            websocket=None if self.websocket is None else self.websocket[0],
        )

    def _signed_by(self) -> SignedBy | None:
        """Give the scheme of its requests' signatures, and what that leaves unprotected."""
        control = self.control(SignatureControl)
        if control is None:
            return None
        weak = [sentence.partition(": ")[0] for sentence in control.scheme.weaknesses()]
        return SignedBy(control.scheme.name, tuple(weak))

    def _last(self) -> list[Control]:
        """Give what is checked behind all named controls but the body rules, which hold what others must not deny."""
        token = self.control(TokenControl)
        last: list[Control] = [TokenBody(token.body_ties)] if token is not None and token.body_ties else []
        return last if self.websocket is None else [*last, self.websocket[1]]


def _named(settings: Mapping[str, Setting], which: Callable[[str], bool]) -> list[Control]:
    """Give the controls that are named, and not switched off."""
    named = [setting for name, setting in settings.items() if which(name)]
    return [each for each in named if each is not None and not isinstance(each, SwitchedOff)]


class RouteReader:
    """Reads routes one after the other."""

    def __init__(
        self,
        reader: Reader,
        upstreams: Table[Upstream],
        partners: Table[PartnerEntry],
        settings: Settings,
        extensions: Sequence[str],
        outward: Outward,
    ) -> None:
        self._reader = reader
        self._upstreams = upstreams
        self._partners = partners
        self._settings = settings
        self._extensions = tuple(sorted(extensions))
        self._outward = outward
        self._names: dict[str, Node] = {}

    def read(self, node: Node) -> RouteEntry | None:
        """Read one route."""
        mapping = self._reader.mapping(node, "a mapping that describes a route")
        fields = self._reader.fields(
            mapping,
            required=("name", "match", "upstream"),
            optional=("partners", *ORDER, *BODY_RULES, "body", "sign_responses", "websocket", *self._extensions),
        )
        if mapping is None or fields is None:
            return None
        named = fields.get("name")
        self._reader.owner = Owner("route", named.text if isinstance(named, ScalarNode) else "")
        partners, partners_off = self._read_partners(mapping, fields.get("partners"))
        answers = self._outward.answers_of_route(fields.get("sign_responses"))
        signed = self._outward.everywhere if answers is None else answers
        return RouteEntry(
            node=mapping,
            nodes=fields,
            name=self._read_name(named),
            match=self._read_match(fields.get("match")),
            upstream=self._upstreams.find(self._reader, fields.get("upstream")),
            partners=partners,
            partners_off=partners_off,
            settings=self._read_settings(mapping, fields),
            body_limit=self._read_body(fields.get("body")),
            answers=answers,
            websocket=read_websocket(self._reader, fields, signed=isinstance(signed, SignedAnswers)),
        )

    def _read_name(self, node: Node | None) -> str | None:
        found = self._reader.value(node, name)
        if node is not None and found is not None:
            first = self._names.setdefault(found, node)
            if first is not node:
                self._reader.error(node, f"route {quoted(found)} is defined twice", f"first at {first.place}")
        return found

    def _read_match(self, node: Node | None) -> Match | None:
        fields = self._reader.fields(node, required=("path",), optional=("method", "methods", "host", "hosts"))
        if node is None or fields is None:
            return None
        path = self._reader.value(fields.get("path"), _path)
        methods = self._one_or_more(fields, "method", _method)
        hosts = self._one_or_more(fields, "host", host)
        if not fields.keys() & {"method", "methods"}:
            self._reader.error(node, "`method` is missing", "expected one such as POST")
        if path is None or methods is None or (hosts is None and fields.keys() & {"host", "hosts"}):
            return None
        return Match(frozenset(methods), path, frozenset(hosts) if hosts is not None else None)

    def _one_or_more[T](self, fields: Mapping[str, Node], key: str, parse: Callable[[str], T]) -> list[T] | None:
        several = f"{key}s"
        if key in fields and several in fields:
            self._reader.error(fields[several], f"`{several}` beside `{key}`", f"put all into `{several}`")
        if several in fields:
            return self._reader.values(fields[several], parse, several)
        value = self._reader.value(fields.get(key), parse)
        return [value] if value is not None else None

    def _read_partners(
        self, route: MappingNode, node: Node | None
    ) -> tuple[list[tuple[Node, PartnerEntry | None]] | None, SwitchedOff | None]:
        if node is None:
            self._reader.error(route, "`partners` is missing", 'expected a list of names, or {off: "the reason"}')
            return None, None
        off = self._reader.switched_off(node, "partners")
        if off is not None or self._reader.refuse_bare_off(node):
            return None, off
        items = self._reader.items(node, "names of partners")
        if items is None:
            return None, None
        listed: list[tuple[Node, PartnerEntry | None]] = []
        names: dict[str, Node] = {}
        for item in items:
            first = names.setdefault(item.text, item) if isinstance(item, ScalarNode) else item
            if first is not item:
                self._reader.error(item, "stands twice in the list", f"first in line {first.place.line}")
                continue
            listed.append((item, self._partners.find(self._reader, item)))
        return listed, None

    def _read_settings(self, route: MappingNode, fields: Mapping[str, Node]) -> dict[str, Setting]:
        settings: dict[str, Setting] = {}
        optional = (*self._extensions, *BODY_RULES)
        for control in (*ORDER, *(each for each in optional if each in fields)):
            node = fields.get(control)
            if node is None:
                hint = f'expected `{control}: {_HINTS[control]}` or `{control}: {{off: "the reason"}}`'
                self._reader.error(route, f"the control `{control}` is not named", hint)
                settings[control] = None
                continue
            off = self._reader.switched_off(node, control)
            if off is None and not self._reader.refuse_bare_off(node):
                settings[control] = self._settings.read(control, node)
            else:
                settings[control] = off
        return settings

    def _read_body(self, node: Node | None) -> int:
        fields = self._reader.fields(node, required=("limit",)) or {}
        return self._reader.value_or(fields.get("limit"), size, DEFAULT_BODY)


def _method(text: str) -> str:
    if text in METHODS:
        return text
    raise Unfit(f"{quoted(text)} is no method", suggestion(text, METHODS))


def _path(text: str) -> str:
    """Read a path template such as `/v1/players/{player}`, whose literal parts must be able to match a request."""
    segments = text[1:].split("/")
    parameters = [segment for segment in segments if is_parameter(segment)]
    if not text.startswith("/"):
        raise Unfit(f"{quoted(text)} does not begin with a slash", "expected a path such as /v1/deposits")
    for parameter in parameters:
        if not parameter[1:-1].isidentifier():
            raise Unfit(f"{quoted(parameter)} is no parameter", "expected a name in braces such as {player}")
    if len(set(parameters)) < len(parameters):
        raise Unfit(f"{quoted(text)} names a parameter twice")
    sample = "/" + "/".join("x" if is_parameter(segment) else segment for segment in segments)
    if "{" in sample or "}" in sample:
        raise Unfit(
            f"{quoted(text)} has a brace inside a segment", "a parameter is a whole segment: /v1/players/{player}"
        )
    try:
        # The reader of requests says which paths there are, so that no route waits for one that is always refused.
        head = read_head(method=b"GET", target=sample.encode(), version="HTTP/1.1", fields=[(b"host", b"x")])
    except Denied as denied:
        raise Unfit(f"no request can have the path {quoted(text)}", denied.detail) from None
    if head.path != sample:
        raise Unfit(f"{quoted(text)} is more than a path", "queries are not matched")
    return text
