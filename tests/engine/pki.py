"""Certificates of the engine's tests, made once a session: valid now, and at the world's time."""

import ssl
import time
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from gateway.core.message import Instant
from gateway.core.policy import ListenerTls
from gateway.pki.authority import Authority, Credential, Names, Purpose, Validity
from tests import world

PARTNER_URI = "spiffe://acme.example/casino"
VALID = Validity(Instant(world.NOW - 86_400), Instant(max(world.NOW, time.time()) + 864_000))
PAST = Validity(Instant(world.NOW - 864_000), Instant(min(world.NOW, time.time()) - 86_400))


@dataclass(frozen=True)
class Pki:
    """A partner CA, an operator CA for servers, one that nobody trusts, and what they issued."""

    partners: Authority
    servers: Authority
    foreign: Authority
    server: Credential
    upstream: Credential
    clients: dict[str, Credential]


@cache
def pki() -> Pki:
    """Make it all."""
    partners, servers = Authority.root("Partners CA", VALID), Authority.root("Operator CA", VALID)
    foreign = Authority.root("Foreign CA", VALID)
    loopback = Names("gate", dns=("localhost", world.HOST), addresses=(ip_address("127.0.0.1"),))
    partner = Names("casino", "Acme", uris=(PARTNER_URI,))
    intermediate = partners.subordinate("Partners issuing CA", VALID)
    return Pki(
        partners=partners,
        servers=servers,
        foreign=foreign,
        server=servers.issue(loopback, Purpose.SERVER, VALID),
        upstream=servers.issue(loopback, Purpose.SERVER, VALID),
        clients={
            "partner": partners.issue(partner, Purpose.CLIENT, VALID),
            "intermediate": intermediate.issue(partner, Purpose.CLIENT, VALID),
            "other": partners.issue(Names("bingo", uris=("spiffe://blue.example/bingo",)), Purpose.CLIENT, VALID),
            "nobody": partners.issue(Names("nobody"), Purpose.CLIENT, VALID),
            "both": partners.issue(
                Names("both", uris=(PARTNER_URI, "spiffe://blue.example/bingo")), Purpose.CLIENT, VALID
            ),
            "expired": partners.issue(partner, Purpose.CLIENT, PAST),
            "foreign": foreign.issue(partner, Purpose.CLIENT, VALID),
            "server": partners.issue(partner, Purpose.SERVER, VALID),
        },
    )


def write(directory: Path) -> ListenerTls:
    """Write the gate's files and give a listener's settings that name them."""
    made = pki()
    files = {
        "gateway.pem": made.server.certificate_pem(),
        "gateway.key": made.server.key_pem(),
        "partners-ca.pem": made.partners.certificate_pem(),
        "operator-ca.pem": made.servers.certificate_pem(),
        "upstream.pem": made.upstream.certificate_pem(),
        "upstream.key": made.upstream.key_pem(),
    }
    for name, data in files.items():
        (directory / name).write_bytes(data)
    for name, credential in made.clients.items():
        (directory / f"{name}.pem").write_bytes(credential.certificate_pem() + credential.key_pem())
    return ListenerTls(directory / "gateway.pem", directory / "gateway.key", directory / "partners-ca.pem")


def upstream_context(directory: Path) -> ssl.SSLContext:
    """Give the TLS context of an upstream that serves https."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(directory / "upstream.pem", directory / "upstream.key")
    return context


def client_context(directory: Path, name: str | None = "partner", *, alpn: str = "http/1.1") -> ssl.SSLContext:
    """Give the TLS context of a client that presents certificate `name`, or none."""
    context = ssl.create_default_context(cafile=str(directory / "operator-ca.pem"))
    if name is not None:
        context.load_cert_chain(directory / f"{name}.pem")
    context.set_alpn_protocols([alpn])
    return context
