import pytest

from gateway.policy.jws_schemes import parameter, read_jws_scheme
from gateway.policy.values import Unfit
from gateway.signing.jws_header import Expected
from gateway.signing.jws_payload import RequestPayload
from gateway.signing.jws_scheme import JwsScheme
from tests.policy.reading import definition, problems, reader


def test_a_scheme_with_everything() -> None:
    text = (
        "{type: jws, header: X-JWS, algorithms: [PS256, EdDSA], b64: either, critical: [iat], required: [iss], "
        "fixed: {tan: example}, types: [JOSE], payload: request, signed_fields: [X-Time, X-Nonce], "
        "timestamp: {parameter: iat}, nonce: {header: X-Nonce}, key_url_hosts: [Keys.example]}"
    )
    used = reader()
    assert read_jws_scheme(used, "bank", definition(text)) == JwsScheme(
        name="bank",
        algorithms=frozenset({"rsa-pss-sha256", "ed25519"}),
        header_field="x-jws",
        expected=Expected(
            critical=frozenset({"iat"}),
            required={"iss": None, "tan": "example"},
            unencoded=None,
            types=frozenset({"JOSE"}),
            key_url_hosts=frozenset({"keys.example"}),
        ),
        payload=RequestPayload(("X-Time", "X-Nonce")),
        created_parameter="iat",
        nonce_field="x-nonce",
    )
    assert used.errors == 0


def test_a_scheme_with_little() -> None:
    used = reader()
    found = read_jws_scheme(used, "bank", definition("{algorithms: [HS256], carried: body, kid: ignored}"))
    assert found is not None
    assert (found.carried, found.names_key, found.dated) == ("body", False, False)
    assert len(problems(used)) == 5


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "{algorithms: []}",
        "{algorithms: [none], header: X-JWS}",
        "{algorithms: [ES256]}",
        "{algorithms: [ES256], header: X-JWS, timestamp: {header: X-Time}}",
        "{algorithms: [ES256], header: X-JWS, timestamp: {}}",
        "{algorithms: [ES256], header: X-JWS, nonce: {parameter: a, header: b}}",
        "{algorithms: [ES256], header: X-JWS, signed_fields: [a]}",
        "{algorithms: [ES256], header: X-JWS, payload: parts}",
        "{algorithms: [ES256], header: X-JWS, fixed: [a]}",
        "{algorithms: [ES256], header: X-JWS, b64: maybe}",
        "[]",
    ],
)
def test_what_is_no_scheme(text: str) -> None:
    used = reader()
    assert read_jws_scheme(used, "bank", definition(text)) is None
    assert used.errors


@pytest.mark.parametrize("text", ["a b", "\xe9", "x" * 129, "a\n"])
def test_what_is_no_parameter(text: str) -> None:
    assert parameter("http://openbanking.org.uk/iat")
    with pytest.raises(Unfit, match="is no parameter"):
        parameter(text)
