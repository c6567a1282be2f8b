"""Profiles of RFC 9421 that others wrote, as presets of a policy."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.signing.httpsig.answers import IF_PRESENT
from gateway.signing.httpsig.component import Component


@dataclass(frozen=True, slots=True)
class Profile:
    """What a profile asks for; a policy can ask for more."""

    covered: tuple[Component, ...]
    covered_if_present: tuple[str, ...]
    tag: str
    answers_tag: str
    answers_if_present: tuple[Component, ...]
    """What signatures of answers cover where it is there."""
    algorithms: tuple[str, ...]


PROFILES: Mapping[str, Profile] = {
    # FAPI 2.0 Http Signatures (draft of December 2024), requirements for signing and verifying resource requests:
    # method, target URI, the access token, DPoP's proof where there is one, the digest where there is a body. The
    # algorithms are PS256, ES256 and EdDSA of the FAPI 2.0 Security Profile (5.4.1) as RFC 9421 has them.
    "fapi2": Profile(
        covered=(Component.parse("@method"), Component.parse("@target-uri"), Component.parse("authorization")),
        covered_if_present=("dpop",),
        tag="fapi-2-request",
        # Responses: status, digest, the request's method, URI and digest, its signature and what that covered.
        answers_tag="fapi-2-response",
        answers_if_present=(*IF_PRESENT, Component.parse('"authorization";req'), Component.parse('"dpop";req')),
        algorithms=("ed25519", "ecdsa-p256-sha256", "rsa-pss-sha512"),
    ),
}
