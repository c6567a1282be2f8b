"""Everything secret that the demo needs, made anew each time: certificates, signing keys, and an identity provider."""

import secrets
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from gateway.core.message import Instant
from gateway.pki.authority import Authority, Credential, Names, Purpose, Validity
from gateway.pki.development import MARK
from gateway.pki.files import write_private, write_public
from gateway.pki.tokens import TokenIssuer

OPERATOR = "https://idp.operator.example"
"""The iss claim of `policies/gateway.yaml`."""

DAYS = 7
"""A demo that is kept running has to last no longer."""


@dataclass(frozen=True, slots=True)
class Party:
    """An organisation that calls, as `policies/partners.yaml` knows it."""

    name: str
    names: Names
    """What its certificate says."""
    signing_keys: tuple[str, ...] = ()
    """Key ids, the one in use first."""

    @property
    def subject(self) -> str:
        """The sub claim of its tokens: the operator's identity provider calls its clients so."""
        return f"svc-{self.name}"


ACME = Party(
    "acme-casino",
    Names("Acme Casino front end", "Acme Gaming Ltd", uris=("spiffe://acme.example/casino",)),
    ("acme-2026-11",),
)
FINANCE = Party("acme-finance", Names("finance.acme.example", "Acme Gaming Ltd", dns=("finance.acme.example",)))
NORTHSTAR = Party(
    "northstar-games",
    Names("Northstar wallet client", "Northstar Games", uris=("spiffe://northstar.example/wallet",)),
    ("northstar-a", "northstar-b"),
)
OLDREELS = Party(
    "oldreels", Names("client.oldreels.example", "OldReels", dns=("client.oldreels.example",)), ("oldreels-1",)
)
LUCKYLOOP = Party("luckyloop", Names("crm.luckyloop.example", "LuckyLoop", dns=("crm.luckyloop.example",)))
REGISTER = Party(
    "exclusion-register",
    Names("push.exclusion-register.example", "National exclusion register", dns=("push.exclusion-register.example",)),
    ("register-2026",),
)
PARTIES = (ACME, FINANCE, NORTHSTAR, OLDREELS, LUCKYLOOP, REGISTER)

FOREIGN = "foreign"
"""Acme's names, issued by a CA that nobody trusts."""
EXPIRED = "expired"
"""Acme's certificate of last year."""
SERVER_ONLY = "server-only"
"""Acme's names, issued by the trusted CA for servers."""
STRANGER = "stranger"
"""Issued by the trusted CA to somebody who is no partner."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where the files are, and the two identity providers: the operator's, and a forger's."""

    folder: Path
    """certs/"""
    operator: TokenIssuer
    forger: TokenIssuer

    @property
    def authority(self) -> Path:
        """PEM file of the CA that issued the gate's certificate."""
        return self.folder / "gateway-ca.pem"

    def certificate(self, identity: str) -> Path:
        """PEM file of a client certificate."""
        return self.folder / "demo" / f"{identity}.pem"

    def key(self, identity: str) -> Path:
        """PEM file of its private key."""
        return self.folder / "demo" / f"{identity}.key"

    def secret_file(self, key_id: str) -> Path:
        """File of a signing key."""
        return self.folder / "demo" / f"{key_id}.secret"

    def secret(self, key_id: str) -> bytes:
        """Signing key of a partner."""
        return self.secret_file(key_id).read_bytes()


def make(folder: Path, now: Instant) -> Credentials:
    """Make everything the policies name under certs/. Raises OSError.

    The keys of the CAs are used and forgotten: nothing can be issued later that these trust.
    """
    credentials = Credentials(folder, TokenIssuer.generate(OPERATOR), TokenIssuer.generate(OPERATOR))
    demo = folder / "demo"
    demo.mkdir(parents=True, exist_ok=True)
    demo.chmod(0o700)
    valid = Validity.around(now, days=DAYS)
    _make_gate(folder, valid)
    _make_clients(credentials, valid, Validity(Instant(now - 400 * 86_400), Instant(now - 35 * 86_400)))
    write_public(folder / "operator-jwks.json", credentials.operator.key_set())
    for party in PARTIES:
        for key_id in party.signing_keys:
            # Hex, so that a shell can hold it too (`--keep`): 256 bits in 64 characters.
            write_private(credentials.secret_file(key_id), secrets.token_hex(32).encode())
    return credentials


def _make_gate(folder: Path, valid: Validity) -> None:
    authority = Authority.root("Gateway development CA", valid, MARK)
    names = Names("gateway", "Operator", dns=("localhost",), addresses=(ip_address("127.0.0.1"), ip_address("::1")))
    gate = authority.issue(names, Purpose.SERVER, valid)
    write_public(folder / "gateway-ca.pem", authority.certificate_pem())
    write_public(folder / "gateway.pem", gate.certificate_pem())
    write_private(folder / "gateway.key", gate.key_pem())


def _make_clients(credentials: Credentials, valid: Validity, past: Validity) -> None:
    # The partners' CA is as old as its oldest certificate.
    partners = Authority.root("Partners development CA", Validity(past.not_before, valid.not_after), MARK)
    foreign = Authority.root("Partners development CA", valid, MARK)
    write_public(credentials.folder / "partners-ca.pem", partners.certificate_pem())
    issued: dict[str, Credential] = {
        **{party.name: partners.issue(party.names, Purpose.CLIENT, valid) for party in PARTIES},
        FOREIGN: foreign.issue(ACME.names, Purpose.CLIENT, valid),
        EXPIRED: partners.issue(ACME.names, Purpose.CLIENT, past),
        SERVER_ONLY: partners.issue(ACME.names, Purpose.SERVER, valid),
        STRANGER: partners.issue(Names("somebody", dns=("somebody.example",)), Purpose.CLIENT, valid),
    }
    for identity, credential in issued.items():
        write_public(credentials.certificate(identity), credential.certificate_pem())
        write_private(credentials.key(identity), credential.key_pem())
