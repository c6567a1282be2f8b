"""What is measured: the reference workload, and what changes when one thing about it does."""

from dataclasses import dataclass

PEERS = ("nginx-lua", "envoy", "mitmdump")
ALL = ("gate", *PEERS)


@dataclass(frozen=True, slots=True)
class Workload:
    """One row of the report: signed wallet debits over mutual TLS, sent as fast as they are answered."""

    name: str
    title: str
    connections: int = 32
    body_bytes: int = 160
    keep_alive: bool = True
    good_signature: bool = True
    http2: bool = False
    algorithm: str | None = None
    """By which one request is signed under RFC 9421, and sent again and again; None: by the reference's own scheme."""
    tokens: str | None = None
    """What of tokens is measured, with nothing else signed: a name of TOKENS."""
    stretch: int = 1
    """Rounds are so many times as long: connections are opened within a round, and many take their time."""
    servers: tuple[str, ...] = ALL
    """In the order in which they take turns; ratios are those of the first to each other one."""

    @property
    def expected(self) -> int:
        """Status of every answer."""
        return 200 if self.good_signature else 401

    @property
    def waits_for_body(self) -> bool:
        """Whether the body is too large to come in one read with the head."""
        return self.body_bytes > 1_024

    @property
    def checks_replay(self) -> bool:
        """Whether nonces are checked: h2load can only send one request again and again."""
        return not self.http2 and self.algorithm is None and self.tokens is None


MESSAGE_ALGORITHMS = ("hmac-sha256", "ed25519", "ecdsa-p256-sha256", "rsa-pss-sha512")
"""Under RFC 9421; RSA with 2,048 bits. The peers do not know the standard."""

TOKENS = {
    **{
        f"{algorithm}-{how}": f"JWT by {algorithm}, {words}"
        for algorithm in ("ES256", "RS256", "EdDSA")
        for how, words in (("cold", "each new to the gate"), ("remembered", "known to the gate"))
    },
    "dpop": "JWT bound to a key, a DPoP proof by ES256 with each request",
    "introspection": "an opaque token, its issuer's answer remembered",
}
"""Requests are not signed: what differs is the token alone."""

REFERENCE = Workload("reference", "reference: 32 kept-alive connections, body of 160 B")
POLICY_SIZE = Workload("policy-size", "10,000 partners, 100,000 networks", servers=("gate-10000", "gate"))

AUDIT = Workload(
    "audit", "what the audit log costs: beside a gate that records nothing", servers=("gate", "gate-unaudited")
)

WORKLOADS = (
    REFERENCE,
    Workload("new-connections", "a new connection for each request", keep_alive=False),
    Workload("connections-1", "1 connection", connections=1),
    Workload("connections-256", "256 connections", connections=256, stretch=3),
    Workload("body-16k", "body of 16 KiB", body_bytes=16_384),
    Workload("body-1m", "body of 1 MiB", body_bytes=1_048_576),
    Workload("bad-signature", "bad signature, refused", good_signature=False),
    POLICY_SIZE,
    AUDIT,
    Workload("audit-fsync", "each allow on the disk before it is forwarded", servers=("gate-fsync", "gate")),
    Workload("revocation", "a revocation list of 100,000 entries", servers=("gate-revocation", "gate")),
    Workload("store", "state on an embedded Valkey", servers=("gate-valkey", "gate")),
    Workload("workers", "two workers on an embedded Valkey", servers=("gate-workers", "gate-valkey", "gate")),
    Workload("http2", "HTTP/2: 8 connections of 4 streams, no replay check", connections=8, http2=True),
    *(
        Workload(f"rfc9421-{name}", f"RFC 9421 by {name}, no replay check", algorithm=name, servers=("gate",))
        for name in MESSAGE_ALGORITHMS
    ),
    *(Workload(f"token-{name}", words, tokens=name, servers=("gate",)) for name, words in TOKENS.items()),
    Workload("barred", "100,000 tokens revoked by gateway revoke", servers=("gate-barred", "gate")),
)
