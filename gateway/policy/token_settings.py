"""What a route says of its callers' tokens, made into the control."""

from typing import Literal

from gateway.controls.claims import MAX_AHEAD
from gateway.controls.credentials import ANY_AUTHENTICATION, Authentication
from gateway.controls.demands import BodyTie, Demand, PathTie, pointer_steps
from gateway.controls.dpop import ALGORITHMS, Proofs
from gateway.controls.token import Binding, TokenControl
from gateway.controls.verified import VerifiedTokens
from gateway.core.issuer import Issuer
from gateway.policy.nodes import MappingNode, Node, ScalarNode
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader, suggestion
from gateway.policy.secrets import read_secret
from gateway.policy.tables import Table
from gateway.policy.values import Unfit, duration, duration_or_zero, scope, whole_seconds
from gateway.signing.jwks import ALGORITHMS as KNOWN_ALGORITHMS
from gateway.signing.window import Window

BINDINGS: tuple[Literal["certificate", "dpop", "either"], ...] = ("certificate", "dpop", "either")

LONGEST_PROOF = 300.0
"""Seconds; each proof is remembered for as long."""

LEAST_NONCE_KEY = 32
"""Bytes of the secret that nonces are made with."""

_SETTLED = frozenset({"iss", "aud", "exp", "nbf", "iat", "cnf", "scope", "scp"})
"""Claims that other settings are about."""

_RULES = "`required`, `forbidden`, or one of {is: [values]}, {path: PARAMETER} and {body: MEMBER}"


class TokenSettings:
    """Reads the setting `token` of routes, one after the other."""

    def __init__(self, reader: Reader, issuers: Table[Issuer]) -> None:
        self._reader = reader
        self._issuers = issuers
        self._verified: dict[str, VerifiedTokens] = {}
        """One for each issuer, shared by all routes."""

    def read(self, node: Node) -> TokenControl | None:
        """Make the control of a route's setting."""
        reader = self._reader
        fields = reader.fields(
            node,
            required=("issuer", "audience"),
            optional=("scopes", "max_lifetime", "bound_to", "dpop", "claims", "authentication"),
        )
        if fields is None:
            return None
        errors = reader.errors
        issuer = self._issuers.find(reader, fields.get("issuer"))
        audience = reader.text(fields.get("audience"), "the aud claim of its tokens")
        scopes = reader.values(fields.get("scopes"), scope, "scopes") or ()
        lifetime = reader.value(fields.get("max_lifetime"), duration)
        bound_to = self._bound_to(fields.get("bound_to"))
        proofs = self._proofs(bound_to, fields.get("dpop"))
        demands, path_ties, body_ties = self._claims(fields.get("claims"))
        authentication = self._authentication(fields.get("authentication"))
        if issuer is None or audience is None or reader.errors > errors:
            return None
        return TokenControl(
            issuer,
            audience,
            frozenset(scopes),
            lifetime,
            self._verified.setdefault(issuer.name, VerifiedTokens()),
            bound_to,
            tuple(demands),
            tuple(path_ties),
            tuple(body_ties),
            authentication,
            proofs,
        )

    def _bound_to(self, node: Node | None) -> Binding:
        if node is None:
            return None
        off = self._reader.switched_off(node, "token.bound_to")
        if off is not None or self._reader.refuse_bare_off(node):
            return off
        return self._reader.choice(node, BINDINGS, "binding")

    def _proofs(self, bound_to: Binding, node: Node | None) -> Proofs | None:
        reader = self._reader
        fields = reader.fields(node, optional=("max_age", "max_ahead", "algorithms", "nonce")) or {}
        if bound_to not in ("dpop", "either"):
            if node is not None:
                reader.error(node, "has no effect", "it goes with `bound_to: dpop` or `bound_to: either`")
            return None
        age = reader.value_or(fields.get("max_age"), _proof_age, 60.0)
        ahead = reader.value_or(fields.get("max_ahead"), _proof_ahead, 10.0)
        algorithms = reader.values(fields.get("algorithms"), _proof_algorithm, "algorithms")
        nonce = read_secret(reader, fields.get("nonce"), "utf-8", LEAST_NONCE_KEY)
        return Proofs(Window(age, ahead), frozenset(algorithms or ALGORITHMS), nonce)

    def _claims(self, node: Node | None) -> tuple[list[Demand], list[PathTie], list[BodyTie]]:
        demands: list[Demand] = []
        path_ties: list[PathTie] = []
        body_ties: list[BodyTie] = []
        mapping = self._reader.mapping(node, "a mapping from claims to what is asked of them")
        for claim, rule in mapping.values.items() if mapping is not None else ():
            assert mapping is not None
            if self._reader.value(mapping.keys[claim], _claim) is None:
                continue
            read = self._rule(claim, rule)
            if isinstance(read, Demand):
                demands.append(read)
            elif isinstance(read, PathTie):
                path_ties.append(read)
            elif read is not None:
                body_ties.append(read)
        return demands, path_ties, body_ties

    def _rule(self, claim: str, node: Node) -> Demand | PathTie | BodyTie | None:
        reader = self._reader
        if isinstance(node, ScalarNode):
            if node.text not in ("required", "forbidden"):
                reader.error(node, f"{quoted(node.text)} is no rule", f"expected {_RULES}")
                return None
            return Demand(claim, forbidden=node.text == "forbidden")
        fields = reader.fields(node, optional=("is", "path", "body"))
        if fields is None or len(fields) != 1:
            if fields is not None:
                reader.error(node, "is no one rule", f"expected {_RULES}")
            return None
        if "is" in fields:
            values = self._one_or_more(fields["is"])
            return None if values is None else Demand(claim, frozenset(values))
        parameter = reader.value(fields.get("path"), _parameter)
        if parameter is not None:
            return PathTie(claim, parameter)
        member = reader.value(fields.get("body"), _member)
        return None if member is None else BodyTie(claim, member)

    def _one_or_more(self, node: Node) -> list[str] | None:
        if isinstance(node, ScalarNode):
            value = self._reader.text(node, "a value of the claim")
            return None if value is None else [value]
        return self._reader.values(node, str, "values")

    def _authentication(self, node: Node | None) -> Authentication:
        fields = self._reader.fields(node, optional=("acr", "max_age"))
        if node is None or fields is None:
            return ANY_AUTHENTICATION
        if not fields:
            self._reader.error(node, "asks for nothing", "expected `acr`, `max_age` or both")
        acr = self._reader.values(fields.get("acr"), _acr, "values of acr") or ()
        max_age = self._reader.value(fields.get("max_age"), whole_seconds)
        return Authentication(tuple(acr), max_age)


def check_ties(reader: Reader, token: TokenControl, node: Node, template: str) -> None:
    """Complain of claims tied to parameters that the route's path does not have."""
    claims = node.values.get("claims") if isinstance(node, MappingNode) else None
    parameters = [segment[1:-1] for segment in template.split("/") if segment.startswith("{")]
    for tie in token.path_ties:
        if tie.parameter not in parameters:
            rule = claims.values.get(tie.claim) if isinstance(claims, MappingNode) else None
            known = f"expected one of {', '.join(map(quoted, parameters))}" if parameters else "the path has none"
            reader.error(rule or node, f"the path has no parameter {quoted(tie.parameter)}", known)


def _claim(text: str) -> str:
    if text in _SETTLED:
        raise Unfit(f"{quoted(text)} is always checked", "it has settings of its own: see docs/policy.md")
    return _pointed(text, "claim")


def _member(text: str) -> str:
    return _pointed(text, "member of the body")


def _pointed(text: str, what: str) -> str:
    try:
        pointer_steps(text)
    except ValueError as error:
        hint = f"expected the name of a {what}, or a JSON pointer such as /account/id"
        raise Unfit(f"{quoted(text)} is {error}" if str(error).startswith("no") else str(error), hint) from None
    return text


def _parameter(text: str) -> str:
    name = text[1:-1] if text.startswith("{") and text.endswith("}") else text
    if not name.isidentifier():
        raise Unfit(f"{quoted(text)} is no parameter of a path", "expected its name, such as player")
    return name


def _proof_age(text: str) -> float:
    seconds = duration(text)
    if seconds > LONGEST_PROOF:
        raise Unfit(f"{quoted(text)} lets copied proofs live on", "at most 5m; 60s is usual")
    return seconds


def _proof_ahead(text: str) -> float:
    seconds = duration_or_zero(text)
    if seconds > MAX_AHEAD:
        raise Unfit(f"{quoted(text)} takes proofs that were made in advance", "at most 60s; 10s is usual")
    return seconds


def _proof_algorithm(text: str) -> str:
    if text not in KNOWN_ALGORITHMS:
        raise Unfit(f"{quoted(text)} is no algorithm for proofs", suggestion(text, sorted(KNOWN_ALGORITHMS)))
    return text


def _acr(text: str) -> str:
    """Read a value of acr; it is repeated in challenges, between quotes and parted by spaces."""
    try:
        return scope(text)
    except Unfit:
        raise Unfit(f"{quoted(text)} is no value of acr", "expected visible ASCII without spaces and quotes") from None
