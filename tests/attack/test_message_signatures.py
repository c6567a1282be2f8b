"""Forged HTTP Message Signatures: a weaker algorithm, another's key, less covered, a signature of another request.

Whoever sends these holds the partner's certificate and knows its public key, and lacks its private one.
"""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.controls.signature import SignatureControl
from gateway.core.message import RequestHead
from gateway.core.networks import NetworkSet
from gateway.core.reasons import Reason
from gateway.signing.httpsig.base import Covered
from gateway.signing.httpsig.inputs import components_of
from gateway.signing.httpsig.message import Request
from tests import messages, world
from tests.engine.harness import Running, request, running
from tests.messages import field, with_fields
from tests.mint import private_key

SCHEME = messages.scheme("@method", "@target-uri", "authorization")
UNSIGNED = dict.fromkeys(("x-key-id", "x-timestamp", "x-nonce", "x-signature"))
TOKEN = world.token()
LOOPBACK = NetworkSet([ip_network("127.0.0.0/8")])


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Running]:
    """A gate whose two partners sign by RFC 9421."""
    keys = messages.keys()
    partner = replace(world.partner(), networks=LOOPBACK, signing_keys={"ed25519": keys["ed25519"]})
    other = replace(world.other_partner(), networks=LOOPBACK, signing_keys={"hmac-sha256": keys["hmac-sha256"]})
    chain = world.chain(signature=SignatureControl(SCHEME, messages.WINDOW))
    partners = {one.name: one for one in (partner, other)}
    async with running(tmp_path, partners=partners, route={"chain": chain}) as gate:
        yield gate


def signed(algorithm: str = "ed25519", body: bytes = world.BODY, **parameters: object) -> RequestHead:
    """Give the world's request, signed as its client does."""
    plain = world.World(fields=UNSIGNED, body=body, token=TOKEN).head()
    return messages.signed(plain, body, by=SCHEME, algorithm=algorithm, **parameters)


def raw(head: RequestHead, *, target: bytes = b"/v1/deposits", body: bytes = world.BODY) -> bytes:
    """Write a head again, with whatever target and body."""
    known = {name for name, _ in world.World().raw_fields()}
    fields = [(name, value) for name, value in head.headers.fields if name.encode() not in known]
    return request(world.World(fields=UNSIGNED, extra=fields, target=target, body=body, token=TOKEN))


def with_signature(head: RequestHead, inputs: str, sign: Callable[[bytes], bytes]) -> RequestHead:
    """Put other parameters and another signature over them into a request."""
    covered, _, parameters = inputs.partition(";")
    base = Covered.of(components_of(covered), {}).base(Request.of(head), f";{parameters}")
    signature = b64encode(sign(base)).decode()
    return with_fields(head, ("signature-input", f"sig1={inputs}"), ("signature", f"sig1=:{signature}:"))


async def refused(up: Running, sent: bytes) -> str:
    answer = await up.send(sent)
    assert answer.status in (401, 409)
    assert up.upstream.untouched
    return answer.code


async def test_the_request_itself_passes(up: Running) -> None:
    assert (await up.send(raw(signed()))).status == 200
    assert up.decided == [Reason.ALLOWED]


def public_octets() -> list[bytes]:
    public = private_key("Ed25519", "partner").public_key()
    forms = [(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)]
    return [*(public.public_bytes(*form) for form in forms), public.public_bytes(Encoding.Raw, PublicFormat.Raw)]


@pytest.mark.parametrize("alg", [';alg="hmac-sha256"', ""])
@pytest.mark.parametrize("form", [0, 1, 2])
async def test_hmac_with_the_public_key_as_its_secret(up: Running, alg: str, form: int) -> None:
    covered = '("@method" "@target-uri" "authorization" "content-digest")'
    forged = with_signature(
        signed(),
        f'{covered};created=1795352400;keyid="ed25519";nonce="n"{alg}',
        lambda base: hmac.digest(public_octets()[form], base, hashlib.sha256),
    )
    assert await refused(up, raw(forged)) == ("signature.algorithm" if alg else "signature.mismatch")


async def test_another_partners_key(up: Running) -> None:
    assert await refused(up, raw(signed("hmac-sha256"))) == "signature.key_unknown"


async def test_fewer_components_with_the_same_signature(up: Running) -> None:
    head = signed()
    for component, code in (('"@target-uri" ', "signature.coverage"), (' "content-digest"', "signature.coverage")):
        inputs = field(head, "signature-input").replace(component, "")
        assert await refused(up, raw(with_fields(head, ("signature-input", inputs)))) == code


async def test_a_signature_of_another_request(up: Running) -> None:
    assert await refused(up, raw(signed(), target=b"/v1/deposits?amount=1000")) == "signature.mismatch"
    assert await refused(up, raw(signed(), body=b'{"amount": "1000"}')) == "signature.digest_mismatch"


async def test_parameters_that_are_changed(up: Running) -> None:
    head = signed()
    for old, new in (("1795352400", "1795352401"), ('"nonce-1"', '"nonce-2"'), (";nonce", ";expires=1795352500;nonce")):
        inputs = field(head, "signature-input").replace(old, new)
        assert await refused(up, raw(with_fields(head, ("signature-input", inputs)))) == "signature.mismatch"


async def test_a_signature_beside_the_partners(up: Running) -> None:
    """A stranger's signature is passed over; where the partner's cannot be told from a second one, none counts."""
    head = signed()
    inputs, signature = field(head, "signature-input"), field(head, "signature")
    second = inputs.replace("sig1=", "sig2=").replace("nonce-1", "nonce-2")
    doubled = with_fields(head, ("signature-input", f"{inputs}, {second}"), ("signature", f"{signature}, sig2=:AQI=:"))
    assert await refused(up, raw(doubled)) == "signature.malformed"
    stranger = with_fields(doubled, ("signature-input", f"{inputs}, {second.replace('ed25519', 'stranger')}"))
    assert (await up.send(raw(stranger))).status == 200


async def test_a_nonce_under_another_label_and_spelling_is_the_same(up: Running) -> None:
    head = signed()
    assert (await up.send(raw(head))).status == 200
    inputs, signature = field(head, "signature-input"), field(head, "signature")
    again = with_fields(
        head,
        ("signature-input", inputs.replace("sig1=", "other=").replace("(", "( ").replace(";created", ";  created")),
        ("signature", signature.replace("sig1=", "other=")),
    )
    answer = await up.send(raw(again))
    assert (answer.status, answer.code) == (409, "replay.seen")
    assert len(up.upstream.requests) == 1


RIGHT = 'sig1=("@method" "@target-uri" "authorization" "content-digest")'
KEYED = ';created=1795352400;keyid="ed25519";nonce="n"'
MALFORMED = {
    "no dictionary": "sig1=(",
    "no inner list": f'sig1="@method"{KEYED}',
    "unknown parameter": f"{RIGHT}{KEYED};context=1",
    "parameter twice": f"{RIGHT}{KEYED};created=1795352400",
    "time as text": f'{RIGHT};created="1795352400";keyid="ed25519";nonce="n"',
    "time in milliseconds": f'{RIGHT};created=1795352400000;keyid="ed25519";nonce="n"',
    "label twice": f"{RIGHT}{KEYED}, {RIGHT}{KEYED}",
    "nine labels": ", ".join(f"{RIGHT}{KEYED}".replace("sig1", f"sig{number}") for number in range(9)),
    "a hundred components": f"sig1=({' '.join(f'{chr(34)}x-{number}{chr(34)}' for number in range(100))}){KEYED}",
    "component twice": f'{RIGHT[:-1]} "@method"){KEYED}',
    "no such component": f'{RIGHT[:-1]} "@body"){KEYED}',
    "unknown parameter of a component": f'{RIGHT[:-1]} "x-a";of){KEYED}',
    "upper case": f'{RIGHT[:-1]} "X-A"){KEYED}',
    "not ASCII": f'{RIGHT[:-1]} "x-\xe9"){KEYED}',
    "of a response": f'{RIGHT[:-1]} "@status"){KEYED}',
    "of another request": f'{RIGHT[:-1]} "@method";req){KEYED}',
    "a structure nobody knows": f'{RIGHT[:-1]} "x-a";sf){KEYED}',
    "a query parameter twice": f'{RIGHT[:-1]} "@query-param";name="a"){KEYED}',
    "a value that is not ASCII": f'{RIGHT[:-1]} "x-latin"){KEYED}',
    "a nonce without end": f"{RIGHT}{KEYED[:-2]}{'n' * 300}{chr(34)}",
    "expires before created": f"{RIGHT}{KEYED};expires=1",
}
COVERS = {
    "a field that is absent": f'{RIGHT[:-1]} "x-absent"){KEYED}',
    "a member that is absent": f'{RIGHT[:-1]} "x-dict";key="b"){KEYED}',
    "a query parameter that is absent": f'{RIGHT[:-1]} "@query-param";name="none"){KEYED}',
    "trailers that are absent": f'{RIGHT[:-1]} "x-sum";tr){KEYED}',
    "less than is asked for": f'sig1=("@method" "content-digest"){KEYED}',
}


async def test_bad_input_has_a_reason_each(up: Running) -> None:
    head = with_fields(signed(), ("x-a", "1"), ("x-latin", "caf\xe9"), ("x-dict", "a=1"))
    lines = [(inputs, "signature.malformed") for inputs in MALFORMED.values()]
    lines += [(inputs, "signature.coverage") for inputs in COVERS.values()]
    lines += [
        (f'{RIGHT}{KEYED};alg="rsa-v1_5-sha1"', "signature.algorithm"),
        (f'{RIGHT}{KEYED};alg="ecdsa-p256-sha256"', "signature.algorithm"),
        (f'{RIGHT};created=1795352400;keyid="none";nonce="n"', "signature.key_unknown"),
        (f'{RIGHT};keyid="ed25519";nonce="n"', "signature.missing"),
        (f"{RIGHT}{KEYED}".replace("sig1", "other"), "signature.missing"),
    ]
    for inputs, code in lines:
        sent = with_fields(head, ("signature-input", inputs))
        answer = await up.send(raw(sent, target=b"/v1/deposits?a=1&a=2"))
        assert (answer.status, answer.code) == (401, code), inputs
    assert up.upstream.untouched


async def test_a_signature_that_is_no_base64(up: Running) -> None:
    for signature in ("sig1=:AAA:", "sig1=:AAAA", "sig1=AAAA", 'sig1="AAAA"', "sig1=:A-_A:", "sig1=:AA=:", "sig1"):
        assert await refused(up, raw(with_fields(signed(), ("signature", signature)))) == "signature.malformed"
    for absent in ("", "other=:AAAA:"):
        assert await refused(up, raw(with_fields(signed(), ("signature", absent)))) == "signature.missing"
