from collections.abc import Mapping
from typing import Any

import pytest

from gateway.core.message import Instant, RequestHead
from gateway.core.policy import SigningKey
from gateway.core.reasons import Denied
from gateway.core.secret import Secret
from gateway.signing.diagnosis import EVERY, MAX_ATTEMPTS, MAX_PARTNERS, Explanations, Failed, explain, variants
from gateway.signing.httpsig.digest import write_digest
from tests import messages, world
from tests.messages import NOW, later

KEYS = {world.SIGNING_KEY_ID: world.signing_key()}
SPACED = b'{"amount": "10.00", "currency": "EUR"}'
PLAIN = SPACED.replace(b": ", b":").replace(b", ", b",")


def composed(
    head: RequestHead, body: bytes, seen: RequestHead, signed: bytes, keys: Mapping[str, SigningKey] = KEYS
) -> str:
    """Explain a request that was sent as `head` and `body`, and signed as its signer saw it."""
    from gateway.signing import parts as p  # noqa: PLC0415 - for this scheme only

    scheme = world.scheme(parts=(p.Method(), p.Target(), p.Header("host"), p.Timestamp(), p.Nonce(), p.Body()))
    made = scheme.sign(seen, signed, key=world.own_key(), now=NOW, nonce="n")
    return explained(scheme, messages.with_fields(head, *made.fields), body, keys)


def explained(scheme: Any, head: RequestHead, body: bytes, keys: Mapping[str, SigningKey] = KEYS) -> str:
    presented = scheme.read(head, keys.__contains__)
    admitted = scheme.admit(presented, keys, messages.WINDOW, NOW)
    with pytest.raises(Denied):
        scheme.match(head, body, presented, admitted, messages.WINDOW)
    return explain(Failed(scheme, presented, admitted, messages.WINDOW), head, body, keys.values(), NOW)


@pytest.mark.parametrize(
    ("sent", "signed", "words"),
    [
        (PLAIN + b"\n", PLAIN, "matches without the trailing newline"),
        (PLAIN + b"\r\n", PLAIN, "matches without the trailing newline"),
        (PLAIN, PLAIN + b"\n", "matches with a trailing newline"),
        (SPACED, PLAIN, "matches the re-serialised JSON, without white space"),
        (PLAIN, SPACED, "matches the re-serialised JSON, with white space"),
        (b'{"a":"caf\\u00e9"}', '{"a":"café"}'.encode(), "matches the re-serialised JSON, without white space"),
        (PLAIN, b"{}", ""),
        (b"\xff", b"x", ""),
        (b'"text"', b"x", ""),
        (b'{"a":"\\ud800"}', b"x", ""),
        (b"[" * 60_000, b"x", ""),
        (b" " * 70_000 + b"\n", b" " * 70_000, ""),
    ],
)
def test_bodies(sent: bytes, signed: bytes, words: str) -> None:
    head = messages.head(body=sent)
    assert composed(head, sent, head, signed) == words


@pytest.mark.parametrize(
    ("sent", "signed", "words"),
    [
        ("/v1/deposits/", "/v1/deposits", "matches without the trailing slash of its path"),
        ("/v1/deposits?a=1", "/v1/deposits/?a=1", "matches with a slash after its path"),
        ("/v1/deposits?a=1", "/v1/deposits", "matches without its query"),
        ("/", "/x", ""),
    ],
)
def test_targets(sent: str, signed: str, words: str) -> None:
    head, seen = messages.head(target=sent), messages.head(target=signed)
    assert composed(head, messages.BODY, seen, messages.BODY) == words


def test_hosts() -> None:
    head = messages.head()
    with_port = head._replace(authority=f"{messages.HOST}:443")
    assert composed(head, b"", with_port, b"") == "matches with the port 443 in its host"
    assert composed(with_port, b"", head, b"") == "matches without the port in its host"


def test_other_keys() -> None:
    head = messages.head()
    named = world.SIGNING_KEY_ID
    right = Secret(world.SIGNING_SECRET)
    for times, words in (
        ({"not_after": later(-60)}, "matches with the previous key 'other', which ended 60 s ago"),
        ({"not_before": later(60)}, "matches with the coming key 'other', which begins in 60 s"),
        ({}, "matches with the partner's key 'other'"),
    ):
        other = world.signing_key(id="other", material=right, **times)
        keys = {named: world.signing_key(material=Secret(b"y" * 32)), "other": other}
        assert composed(head, messages.BODY, head, messages.BODY, keys) == words


def test_a_digest_that_is_wrong_is_explained_too() -> None:
    body = messages.BODY
    head = messages.with_fields(messages.head(body=body), ("content-digest", write_digest(body)))
    signed = messages.signed(head, body)
    keys = messages.keys()
    assert explained(messages.scheme(), signed, body + b"\n", keys) == "matches without the trailing newline"
    moved = signed._replace(path="/v1/deposits/", target="/v1/deposits/?dry=no")
    assert explained(messages.scheme(), moved, body, keys) == "matches without the trailing slash of its path"


def test_the_work_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {f"k{n}": world.signing_key(id=f"k{n}", material=Secret(bytes([n]) * 32)) for n in range(1, 20)}
    keys |= KEYS
    body = b'{"a" :1}'
    head = messages.head(target="/v1/deposits/?a=1", body=body)
    assert len(list(variants(head, body, (world.signing_key(),), keys.values(), NOW))) > MAX_ATTEMPTS
    scheme = world.scheme()
    tried: list[object] = []
    match = type(scheme).match
    monkeypatch.setattr(type(scheme), "match", lambda *given: (tried.append(given), match(*given))[1])
    made = scheme.sign(head, b"other", key=world.own_key(), now=NOW, nonce="n")
    assert explained(scheme, messages.with_fields(head, *made.fields), body, keys) == ""
    assert len(tried) == 1 + MAX_ATTEMPTS


def test_one_explanation_a_second_for_each_partner() -> None:
    explanations = Explanations()
    at = [0.0, 0.5, EVERY, EVERY + 0.5, 0.2]  # the last: the clock was set back
    assert [explanations.may_explain("acme", Instant(NOW + each)) for each in at] == [True, False, True, False, True]
    assert explanations.may_explain("blue", NOW)
    for number in range(MAX_PARTNERS):
        explanations.may_explain(f"p{number}", NOW)
    assert len(explanations._last) <= MAX_PARTNERS
