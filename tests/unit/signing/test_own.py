import pytest

from gateway.core.message import Instant
from gateway.core.secret import Secret
from gateway.core.syntax import read_head
from gateway.signing.algorithms import PrivateSigner
from gateway.signing.own import OwnKey, Signed, with_fields
from tests import messages, world
from tests.mint import private_key

HEAD = read_head(
    method=b"POST", target=b"/pay?a=1", version="HTTP/1.1", fields=[(b"host", b"x"), (b"content-length", b"2")]
)


def test_a_key_is_a_secret_or_a_private_key() -> None:
    secret = OwnKey("k", "hmac-sha256", Secret(b"x" * 32))
    private = messages.own_key("ed25519")
    assert secret.secret.reveal() == b"x" * 32
    assert private.private.algorithm == "ed25519"
    with pytest.raises(ValueError, match="is a shared secret"):
        _ = secret.private
    with pytest.raises(ValueError, match="is a private key"):
        _ = private.secret


def test_a_private_key_has_one_algorithm() -> None:
    with pytest.raises(ValueError, match="is for ed25519, not ecdsa"):
        OwnKey("k", "ecdsa-p256-sha256", PrivateSigner("ed25519", private_key("Ed25519")))


def test_no_key_is_shown() -> None:
    assert "xxx" not in repr(OwnKey("k", "hmac-sha256", Secret(b"x" * 32)))


def test_fields_replace_those_of_their_names() -> None:
    head = with_fields(with_fields(HEAD, [("x-one", "1"), ("x-two", "2")]), [("x-one", "3")])
    assert head.headers.fields[-2:] == (("x-two", "2"), ("x-one", "3"))


def test_a_target_is_taken_apart() -> None:
    head, body = Signed([], target="/pay?a=1&key=2").applied(HEAD, b"{}")
    assert (head.target, head.path, head.query, body) == ("/pay?a=1&key=2", "/pay", "a=1&key=2", b"{}")
    assert Signed([], target="/pay").applied(HEAD, b"")[0].query is None


def test_the_length_follows_the_body_where_it_is_declared() -> None:
    head, body = Signed([("x-one", "1")], body=b'{"sign":""}').applied(HEAD, b"{}")
    assert (body, head.content_length, head.headers.single("content-length")) == (b'{"sign":""}', 11, "11")
    undeclared = read_head(method=b"GET", target=b"/", version="HTTP/1.1", fields=[(b"host", b"x")])
    head, body = Signed([], body=b"{}").applied(undeclared, b"")
    assert (head.has_body, head.content_length) == (True, None)
    assert "content-length" not in head.headers


def test_a_key_signs_while_it_is_in_force() -> None:
    key = OwnKey("k", "hmac-sha256", Secret(b"x" * 32), Instant(10), Instant(20))
    assert [key.in_force(Instant(at)) for at in (9, 10, 19, 20)] == [False, True, True, False]
    assert OwnKey("k", "hmac-sha256", Secret(b"x" * 32)).in_force(Instant(0))


def test_a_partners_secret_signs_for_the_partner_and_its_public_key_cannot() -> None:
    shared = OwnKey.shared(world.signing_key(not_after=Instant(5)))
    assert shared is not None
    assert (shared.id, shared.not_after) == (world.SIGNING_KEY_ID, 5)
    assert shared.secret.reveal() == world.SIGNING_SECRET
    assert OwnKey.shared(messages.signing_key("ed25519")) is None
