"""Whatever comes as a proof of possession: read, or refused; and URIs that are compared in their normal form."""

import json
from posixpath import normpath
from typing import Any
from urllib.parse import unquote_to_bytes

from hypothesis import given
from hypothesis import strategies as st

from gateway.controls import dpop
from gateway.signing.dpop import Proof, read_proof
from gateway.signing.jose import encode_base64url
from tests import proofs, world
from tests.property.test_core import JSON, UNTIMED, outcome

HEADERS = st.dictionaries(st.sampled_from(["typ", "alg", "jwk", "kid", "crit"]), JSON)
KEYS = st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "n", "e", "use", "alg", "key_ops", "d"]), JSON)
CLAIMS = st.dictionaries(st.sampled_from(["jti", "htm", "htu", "iat", "ath", "nonce"]), JSON)
PIECES = ["/", "/..", "/.", "a", "~", "%7E", "%7e", "%2F", "%2f", "%2E", "%c3%a4", "%C3%A4", "%20", ".", ";"]
PATHS = (
    st.lists(st.sampled_from(PIECES), max_size=8)
    .map(lambda pieces: "/" + "".join(pieces))
    .filter(lambda path: "//" not in path)  # which `normpath` takes for one, and RFC 3986 does not
)


def part(value: object) -> str:
    return encode_base64url(json.dumps(value).encode())


@UNTIMED
@given(HEADERS, KEYS, CLAIMS)
def test_any_proof_is_read_or_refused(header: dict[str, Any], key: dict[str, Any], claims: dict[str, Any]) -> None:
    jwk = {**proofs.KEY.as_dict(private=False), **key}
    text = f"{part({'typ': 'dpop+jwt', 'alg': 'ES256', 'jwk': jwk, **header})}.{part(claims)}.AAAA"
    assert isinstance(outcome(lambda: read_proof(text)), ValueError)  # nobody signed it


@UNTIMED
@given(CLAIMS)
def test_any_claims_of_a_proof_are_read_or_refused(changes: dict[str, Any]) -> None:
    proof = outcome(lambda: read_proof(proofs.proof("token", **changes)))
    assert isinstance(proof, ValueError) or (isinstance(proof, Proof) and len(proof.id) <= 256)


@UNTIMED
@given(PATHS, PATHS)
def test_paths_with_one_normal_form_are_one_resource(one: str, other: str) -> None:
    normal = dpop._normal(one)
    assert dpop._normal(normal) == normal
    if dpop._normal(other) == normal:
        # What upstream makes of both, escaped slashes kept apart from others.
        same = [unquote_to_bytes(normpath(path.replace("%2f", "%2F").replace("%2F", "%252F"))) for path in (one, other)]
        assert normpath(same[0]) == normpath(same[1])


@UNTIMED
@given(st.text(max_size=60) | PATHS.map(lambda path: f"https://{world.HOST}{path}"))
def test_any_uri_is_the_requests_or_not(uri: str) -> None:
    head = world.World().head()
    if dpop._is_uri_of(head, uri):
        assert uri.lower().startswith(f"https://{world.HOST}")
