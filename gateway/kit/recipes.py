"""Shell recipes: the client key with its certificate request, and the signing key."""

import re
import shlex

from gateway.core.policy import Partner

_COMMAND = {
    "ed25519": "openssl genpkey -algorithm ed25519",
    "ecdsa-p256-sha256": "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
    "ecdsa-p384-sha384": "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384",
    "ecdsa-p521-sha512": "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521",
}
_RSA = "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072"

_NAME = re.compile(r"(?<!\\),")


def certificate_request(partner: Partner) -> str:
    """Give the script that makes the client's key and its certificate request, with what the policy looks for."""
    match = next(iter(partner.certificates), None)
    names = []
    for kind, value in (
        ("URI", match and match.san_uri), ("DNS", match and match.san_dns), ("email", match and match.san_email)
    ):  # fmt: skip
        if value:
            names.append(f"{kind}:{value}")
    subject = _subject(match.subject) if match is not None and match.subject else f"/CN={partner.name}"
    lines = [
        "#!/bin/sh",
        "# Makes your client key and a request for its certificate. The key stays with you: send client.csr alone.",
        "set -eu",
        "umask 077",
        "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 \\",
        "  -keyout client.key -out client.csr \\",
        *([f"  -addext {shlex.quote(f'subjectAltName={",".join(names)}')} \\"] if names else []),
        "  -addext extendedKeyUsage=clientAuth \\",
        f"  -subj {shlex.quote(subject)}",
        "openssl req -in client.csr -noout -verify -subject",
    ]
    return "\n".join(lines) + "\n"


def _subject(written: str) -> str:
    """Write an RFC 4514 name, whose order is the other way round, as OpenSSL's option wants it."""
    parts = [part.replace("\\,", ",").replace("/", "\\/") for part in _NAME.split(written)]
    return "/" + "/".join(reversed(parts))


def signing_key(algorithm: str) -> str:
    """Give the script that makes a signing key, of which the public half is sent."""
    return (
        "#!/bin/sh\n"
        f"# Makes your signing key for {algorithm}. The key stays with you: send signing.pub alone.\n"
        "set -eu\n"
        "umask 077\n"
        f"{_COMMAND.get(algorithm, _RSA)} -out signing.key\n"
        "openssl pkey -in signing.key -pubout -out signing.pub\n"
        "cat signing.pub\n"
    )
