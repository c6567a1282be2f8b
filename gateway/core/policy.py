"""The compiled policy: frozen, complete, and free of text still to be read. `gateway.policy` makes these."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Protocol

from gateway.core.certificates import CertificateMatch, index_keys
from gateway.core.chain import Control
from gateway.core.issuer import Issuer
from gateway.core.lockout import Lockout
from gateway.core.memo import Bounded, Memo
from gateway.core.message import Certificate, Instant, RequestHead
from gateway.core.networks import NetworkSet
from gateway.core.outgoing import AnswerSigner, RequestSigner
from gateway.core.publication import AuditSettings
from gateway.core.reasons import Denied, Reason
from gateway.core.routing import RouteTable
from gateway.core.secret import Secret
from gateway.core.stores import StateSettings


class Verifier(Protocol):
    """A public key with its one algorithm, checked when the policy was compiled."""

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature is the key's over the message."""
        ...

    def explain(self, message: bytes, signature: bytes) -> str:
        """Say what can be told of a signature that does not verify, for the log; nothing where nothing can."""
        ...


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key a partner signs requests with. In force from `not_before` until before `not_after`."""

    id: str
    algorithm: str
    material: Secret | Verifier
    """The secret that the partner shares with the gate, or the partner's public key."""
    not_before: Instant | None = None
    not_after: Instant | None = None

    @property
    def secret(self) -> Secret:
        """The shared secret, of a key whose algorithm has one."""
        if not isinstance(self.material, Secret):
            raise TypeError(f"key {self.id!r} for {self.algorithm} is a public key")
        return self.material

    @property
    def public(self) -> Verifier:
        """The public key, of a key whose algorithm has one."""
        if isinstance(self.material, Secret):
            raise TypeError(f"key {self.id!r} for {self.algorithm} is a shared secret")
        return self.material

    def in_force(self, now: Instant) -> bool:
        """Whether the key counts at `now`."""
        return (self.not_before is None or self.not_before <= now) and (self.not_after is None or now < self.not_after)


@dataclass(frozen=True, slots=True)
class Partner:
    """An organisation that calls."""

    name: str
    certificates: tuple[CertificateMatch, ...] = ()
    networks: NetworkSet = field(default_factory=NetworkSet)
    subjects: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Token subjects by the name of their issuer."""
    signing_keys: Mapping[str, SigningKey] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address at which an upstream can be reached."""

    host: str
    """Name or IP address; an IPv6 address without brackets."""
    port: int


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """Files of the certificate that the gate itself presents, and of its key."""

    certificate: PurePath
    """PEM, the gate's own first, then intermediates."""
    key: PurePath


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where allowed requests go."""

    name: str
    scheme: str
    endpoints: tuple[Endpoint, ...]
    """One or more; each can take every request."""
    ca: PurePath | None = None
    """PEM file of the CAs that the upstream's certificate must lead to; None: the system's."""
    client: ClientCertificate | None = None
    server_name: str | None = None
    """Name to ask for (SNI) and to verify in place of each endpoint's host; None: the host."""
    authority: str | None = None
    """Host field of the requests there; None: the one that the caller named."""
    connect_timeout: float = 2.0
    """Seconds until a request has a connection, TLS and the try of another endpoint included."""
    response_timeout: float = 30.0
    """Seconds from the request's last byte sent to the response's head, and between parts of its body."""
    signer: RequestSigner | None = field(default=None, compare=False)
    """Signs what goes there; None: nothing is signed. Two upstreams are the same place without regard to it."""

    def url(self, endpoint: Endpoint) -> str:
        """Give the URL of an endpoint, as a policy has it, with its port."""
        host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
        return f"{self.scheme}://{host}:{endpoint.port}"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one listener takes from its callers, before any of them is trusted."""

    head: int = 16_384
    """Bytes of request line and header section."""
    fields: int = 100
    connections: int = 10_000
    handshake_timeout: float = 10.0
    head_timeout: float = 10.0
    body_timeout: float = 30.0
    idle_timeout: float = 75.0


@dataclass(frozen=True, slots=True)
class Revocation:
    """How a listener learns that a client certificate was taken back."""

    files: tuple[PurePath, ...] = ()
    """Revocation lists."""
    leaf_only: bool = False
    """Whether only the client's own certificate is checked; else its issuers too, but for the trusted one."""
    stale_for: float = 0.0
    """Seconds beyond its end for which a list, or an answer, still counts."""
    point_hosts: frozenset[str] = frozenset()
    """Hosts, with port where it is not the scheme's, from which lists may be fetched that certificates name."""
    ocsp_hosts: frozenset[str] = frozenset()
    """Hosts of OCSP responders that may be asked where certificates name them."""
    responder: str | None = None
    """URL of the OCSP responder to ask, whatever certificates name."""
    refresh: float = 3_600.0
    """Seconds until a list is fetched again, or a responder asked again, unless its end comes first."""
    timeout: float = 5.0
    """Seconds for a fetch or an answer."""

    @property
    def asks(self) -> bool:
        """Whether anything is fetched or asked over the network."""
        return bool(self.point_hosts or self.ocsp_hosts or self.responder)


@dataclass(frozen=True, slots=True)
class NamedCertificate:
    """Files of a certificate that is shown to clients which ask for one of its names."""

    certificate: PurePath
    key: PurePath
    names: tuple[str, ...]
    """Lower case; `*.` at the beginning stands for one label."""


@dataclass(frozen=True, slots=True)
class ListenerTls:
    """Files and settings of a listener's TLS."""

    certificate: PurePath
    key: PurePath
    client_ca: PurePath
    minimum: str = "1.2"
    client_certificate_required: bool = True
    revocation: Revocation | None = None
    certificates: tuple[NamedCertificate, ...] = ()
    """Beside the one that whoever asks for none of their names is shown."""
    alpn: tuple[str, ...] = ("h2", "http/1.1")


@dataclass(frozen=True, slots=True)
class Listener:
    """Where the gate accepts connections."""

    name: str
    address: str
    port: int
    tls: ListenerTls
    trusted_proxies: NetworkSet = field(default_factory=NetworkSet)
    proxy_protocol: bool = False
    """Every connection must start with a PROXY header from a trusted proxy."""
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class IdentityFields:
    """Fields that only the gate may set towards upstream, or nobody: a caller's own are removed.

    Those that say who calls, and those by which some servers take another method or target than the request's, which
    the gate has decided about.
    """

    prefix: str = "x-gateway-"
    """Prefix of the fields the gate sets, lower case."""
    names: frozenset[str] = frozenset(
        {
            "forwarded", "x-real-ip", "true-client-ip", "x-client-ip", "x-cluster-client-ip", "cf-connecting-ip",
            "remote-user", "x-remote-user", "client-cert", "client-cert-chain",
            "x-http-method", "x-http-method-override", "x-method-override", "x-original-url", "x-rewrite-url",
        }
    )  # fmt: skip
    prefixes: tuple[str, ...] = ("x-gateway-", "x-forwarded-", "x-client-cert", "x-ssl-", "ssl-client-", "x-envoy-")

    request_id: str = field(init=False)
    """Name of the field that carries the request id."""
    covered: Memo[str, bool] = field(init=False, repr=False, compare=False)
    """Whether a caller's field of a (lower-case) name is removed."""
    verified: Bounded[tuple[str | None, ...], tuple[tuple[tuple[str, str], ...], str]] = field(
        init=False, repr=False, compare=False
    )
    """What the gate says of callers that come again, by what it verified: the fields, and the same as a message has
    them (`core.forwarding`)."""

    def __post_init__(self) -> None:
        names, prefixes = self.names, (self.prefix, *self.prefixes)
        object.__setattr__(self, "request_id", f"{self.prefix}request-id")
        object.__setattr__(self, "covered", Memo(lambda name: name in names or name.startswith(prefixes)))
        object.__setattr__(
            self, "verified", Bounded(longest=1_024, size=lambda said: sum(map(len, filter(None, said))))
        )

    def covers(self, name: str) -> bool:
        """Whether a caller's field of this (lower-case) name is removed."""
        return self.covered[name]


@dataclass(frozen=True, slots=True)
class SignedBy:
    """The signature scheme of a route's requests, as records name it."""

    scheme: str
    weaknesses: tuple[str, ...] = ()
    """What it leaves unprotected, in short."""


@dataclass(frozen=True, slots=True)
class SwitchedOff:
    """A control that a route does without, and why."""

    control: str
    because: str


@dataclass(frozen=True, slots=True)
class Match:
    """Which requests a route is about: methods, a path template such as `/v1/players/{player}`, and hosts."""

    methods: frozenset[str]
    path: str
    hosts: frozenset[str] | None = None
    """Lower-case hosts without port; None: any."""


@dataclass(frozen=True, slots=True)
class WebSocketSettings:
    """How long a WebSocket of a route may stay open; in seconds."""

    idle: float
    """Without a byte in either direction."""
    lifetime: float
    """In all; one that was opened with an access token ends with that at the latest."""


@dataclass(frozen=True, slots=True)
class Route:
    """A rule: what it is about, who may call it, which controls they must pass, and where it leads."""

    name: str
    match: Match
    upstream: Upstream
    partners: frozenset[str] | None
    """Names of the partners that may call; None: the policy switched partners off in words."""
    chain: tuple[Control, ...]
    switched_off: tuple[SwitchedOff, ...] = ()
    body_limit: int = 65_536
    signed_by: SignedBy | None = None
    """The scheme its requests are signed by; None: they need no signature."""
    answers: AnswerSigner | None = None
    """Signs what its requests are answered; None: answers are not signed, and passed on as they come."""
    websocket: WebSocketSettings | None = None
    """Where its requests open WebSockets; None: a field Upgrade is not passed on."""


@dataclass(frozen=True)
class Policy:
    """One whole policy. A request is decided by one of these from start to end."""

    name: str
    digest: str
    """SHA-256 over the policy's files, lower-case hex."""
    listeners: Mapping[str, Listener]
    upstreams: Mapping[str, Upstream]
    issuers: Mapping[str, Issuer]
    partners: Mapping[str, Partner]
    routes: tuple[Route, ...]
    identity: IdentityFields = field(default_factory=IdentityFields)
    state: StateSettings = field(default_factory=StateSettings)
    lockout: Lockout | None = None
    """None: nobody is locked out."""
    audit: AuditSettings = field(default_factory=AuditSettings)
    metrics: Endpoint | None = None
    """Where metrics are served; None: nowhere."""
    owner: str = ""
    review_by: str = ""
    answers: AnswerSigner | None = None
    """Signs refusals of requests that came to no route."""

    def __post_init__(self) -> None:
        table = RouteTable([(route.match.methods, route.match.path, route.match.hosts, route) for route in self.routes])
        object.__setattr__(self, "_table", table)
        by_value: dict[tuple[str, str], list[tuple[CertificateMatch, Partner]]] = {}
        for partner in self.partners.values():
            for match in partner.certificates:
                keys = index_keys(match)
                if not keys:
                    raise ValueError("a certificate match needs at least one value")
                for key in keys:
                    by_value.setdefault(key, []).append((match, partner))
        object.__setattr__(self, "_by_certificate", by_value)
        matches = [match for partner in self.partners.values() for match in partner.certificates]
        object.__setattr__(self, "_by_chain", any(match.authorities is not None for match in matches))
        object.__setattr__(self, "_known_certificates", Bounded(capacity=16_384, longest=1_024))
        by_subject: dict[tuple[str, str], set[str]] = {}
        for partner in self.partners.values():
            for issuer, subjects in partner.subjects.items():
                for subject in subjects:
                    by_subject.setdefault((issuer, subject), set()).add(partner.name)
        object.__setattr__(self, "_by_subject", by_subject)

    def route_for(self, head: RequestHead) -> Route:
        """Give the one route this request is about; raises Denied(ROUTE_UNKNOWN or METHOD_NOT_ALLOWED)."""
        table: RouteTable[Route] = self._table  # type: ignore[attr-defined]
        methods = table.find(head.host, head.path)
        if methods is None:
            raise Denied(Reason.ROUTE_UNKNOWN, "no route matches host and path")
        route = methods.get(head.method)
        if route is None:
            allow = ", ".join(sorted(methods))
            raise Denied(Reason.METHOD_NOT_ALLOWED, f"routes exist for {allow}", (("allow", allow),))
        return route

    def partners_of(self, certificate: Certificate) -> frozenset[str]:
        """Names of all partners the certificate fits. More than one is an ambiguity that must deny.

        The fingerprint is a SHA-256 over all that is looked at but the chain, so what it gave once it gives again.
        """
        known: Bounded[str, frozenset[str]] = self._known_certificates  # type: ignore[attr-defined]
        key = certificate.fingerprint
        if self._by_chain:  # type: ignore[attr-defined]
            key = ":".join((key, *certificate.authorities))
        names = known.get(key)
        return known.keep(key, self._find_partners(certificate)) if names is None else names

    def _find_partners(self, certificate: Certificate) -> frozenset[str]:
        by_value: dict[tuple[str, str], list[tuple[CertificateMatch, Partner]]]
        by_value = self._by_certificate  # type: ignore[attr-defined]
        values = [
            ("fingerprint", certificate.fingerprint),
            ("public_key", certificate.public_key_fingerprint),
            ("subject", certificate.subject),
            *(("san_uri", value) for value in certificate.san_uri),
            *(("san_dns", value) for value in certificate.san_dns),
            *(("san_email", value) for value in certificate.san_email),
            *(("authority", value) for value in certificate.authorities),
        ]
        return frozenset(
            partner.name for value in values for match, partner in by_value.get(value, ()) if match.fits(certificate)
        )

    def partners_of_subject(self, issuer: str, subject: str) -> frozenset[str]:
        """Names of all partners that list the subject of the issuer of this name. More than one must deny."""
        by_subject: dict[tuple[str, str], set[str]] = self._by_subject  # type: ignore[attr-defined]
        return frozenset(by_subject.get((issuer, subject), ()))
