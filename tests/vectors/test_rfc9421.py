"""The examples of RFC 9421: the values of section 2, and the signatures of appendix B: `rfc9421/*.json`."""

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from gateway.core.message import Headers, Instant, RequestHead
from gateway.core.policy import SigningKey
from gateway.core.reasons import Denied
from gateway.core.secret import Secret
from gateway.core.syntax import read_head
from gateway.signing.algorithms import PrivateSigner, PublicVerifier, SecretSigner, Signer
from gateway.signing.httpsig.base import Covered
from gateway.signing.httpsig.component import Component
from gateway.signing.httpsig.inputs import components_of, read_inputs, read_signature
from gateway.signing.httpsig.message import Message, Request, Response
from gateway.signing.httpsig.scheme import HttpMessageScheme
from gateway.signing.httpsig.values import AbsentError, Reading, value_of
from gateway.signing.window import Window

FOLDER = Path(__file__).parent / "rfc9421"


def known(mapping: Mapping[str, Any], required: set[str], optional: set[str] | None = None) -> Mapping[str, Any]:
    """Give the mapping back; what a case says and nobody reads would be a case that tests nothing."""
    assert required <= set(mapping) <= required | (optional or set()), f"{sorted(mapping)}"
    return mapping


SIGNATURES = known(
    json.loads((FOLDER / "signatures.json").read_text()), {"comment", "now", "keys", "messages", "cases"}
)
VALUES = known(json.loads((FOLDER / "values.json").read_text()), {"comment", "cases"})
NOW = Instant(SIGNATURES["now"])


def head_of(written: Mapping[str, Any], extra: Mapping[str, str]) -> RequestHead:
    known(written, {"method", "target", "fields", "body"})
    fields = [*((name.encode(), value.encode()) for name, value in written["fields"])]
    fields += [(name.encode(), value.encode()) for name, value in extra.items()]
    return read_head(
        method=written["method"].encode(), target=written["target"].encode(), version="HTTP/1.1", fields=fields
    )


def message_of(written: Mapping[str, Any]) -> Message:
    if "method" in written:
        return Request.of(head_of(written, {}))
    known(written, {"status", "fields", "body"}, {"request"})
    request = message_of(SIGNATURES["messages"][written["request"]]) if "request" in written else None
    assert request is None or isinstance(request, Request)
    return Response(written["status"], Headers(map(tuple, written["fields"])), request)


def key_of(key_id: str) -> SigningKey:
    written = known(
        SIGNATURES["keys"][key_id], {"section", "algorithm"}, {"public_key", "private_base64", "secret_base64"}
    )
    if "secret_base64" in written:
        return SigningKey(key_id, written["algorithm"], Secret(b64decode(written["secret_base64"])))
    public: Any = load_pem_public_key(written["public_key"].encode())
    return SigningKey(key_id, written["algorithm"], PublicVerifier(written["algorithm"], public))


def cases() -> Iterator[Any]:
    for case in SIGNATURES["cases"]:
        known(case, {"section", "message", "label", "signature_input", "signature", "expect"}, {"base", "scheme"})
        yield pytest.param(case, id=f"{case['section']} {case['message']} {case['label']}")


def fields_of(case: Mapping[str, Any]) -> dict[str, str]:
    label = case["label"]
    return {
        "signature-input": f"{label}={case['signature_input']}",
        "signature": f"{label}=:{case['signature']}:",
    }


@pytest.mark.parametrize("case", cases())
def test_signature(case: Mapping[str, Any]) -> None:
    fields = fields_of(case)
    announced = read_inputs(fields["signature-input"], lambda text: Covered.of(components_of(text), {}))[case["label"]]
    assert announced.covered.text + announced.parameters.text == case["signature_input"]
    base = announced.covered.base(message_of(SIGNATURES["messages"][case["message"]]), announced.parameters.text)
    if "base" in case:
        assert base.decode().split("\n") == case["base"]
    signature = read_signature(fields["signature"], case["label"])
    assert signature is not None
    assert announced.parameters.keyid is not None
    key = key_of(announced.parameters.keyid)
    if key.algorithm == "hmac-sha256":
        assert SecretSigner(key.secret).sign(base) == signature
    else:
        assert key.public.verifies(base, signature) == (case["expect"] == "verified")


@pytest.mark.parametrize("case", [each for each in cases() if "scheme" in each.values[0]])
def test_what_the_gate_says(case: Mapping[str, Any]) -> None:
    written = SIGNATURES["messages"][case["message"]]
    scheme = HttpMessageScheme("example", covered=())
    keys = {key_id: key_of(key_id) for key_id in SIGNATURES["keys"]}
    request = head_of(written, fields_of(case)), written["body"].encode()
    assert outcome(scheme, *request, keys, Window(60.0, 5.0), NOW) == case["scheme"]


def outcome(scheme: HttpMessageScheme, *verified: Any) -> str:
    try:
        scheme.verify(*verified)
    except Denied as denied:
        return denied.reason.code
    return "verified"


@pytest.mark.parametrize("key_id", ["test-key-ed25519", "test-shared-secret"])
def test_algorithms_without_chance_give_the_signature_of_the_example(key_id: str) -> None:
    (case,) = [each.values[0] for each in cases() if key_id in each.values[0]["signature_input"]][:1]
    written = SIGNATURES["keys"][key_id]
    signer: Signer
    if "secret_base64" in written:
        signer = SecretSigner(Secret(b64decode(written["secret_base64"])))
    else:
        signer = PrivateSigner("ed25519", Ed25519PrivateKey.from_private_bytes(b64decode(written["private_base64"])))
    assert signer.sign("\n".join(case["base"]).encode()) == b64decode(case["signature"])


def value_cases() -> Iterator[Any]:
    optional = {"fields", "trailers", "method", "target", "authority", "status"}
    for number, case in enumerate(VALUES["cases"]):
        known(case, {"section", "component", "expect"}, optional)
        yield pytest.param(case, id=f"{number}: {case['section']} {case['component']}")


@pytest.mark.parametrize("case", value_cases())
def test_value(case: Mapping[str, Any]) -> None:
    headers = Headers(map(tuple, case.get("fields", ())))
    trailers = Headers(map(tuple, case["trailers"])) if "trailers" in case else None
    target, authority = case.get("target", "/path"), case.get("authority", "www.example.com")
    path, mark, query = target.partition("?")
    message: Message = Request(
        case.get("method", "GET"), "https", authority, target, path, query if mark else None, headers, trailers
    )
    if "status" in case:
        message = Response(case["status"], headers)
    value = value_of(Component.parse(case["component"]), {"example-dict": "dictionary"})
    if case["expect"] is None:
        with pytest.raises(AbsentError):
            value(Reading(message))
    else:
        assert value(Reading(message)) == case["expect"]
