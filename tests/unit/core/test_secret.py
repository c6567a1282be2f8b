import copy
import hashlib
import hmac
import pickle
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.secret import Mac, Secret
from tests import world

HASHES = ("sha256", "sha512")


@pytest.mark.parametrize("show", [repr, str, "{}".format, "%s".__mod__, "%r".__mod__])
def test_it_is_not_shown(show: Callable[[object], str]) -> None:
    assert show(Secret(b"s3cret")) == "Secret(…)"


def test_a_key_and_a_policy_do_not_show_it() -> None:
    assert world.SIGNING_SECRET.decode() not in f"{world.signing_key()} {world.policy()!r}"


def test_it_is_not_compared() -> None:
    with pytest.raises(TypeError, match="constant time"):
        assert Secret(b"a") == Secret(b"a")
    with pytest.raises(TypeError, match="constant time"):
        assert Secret(b"a") != b"b"


def test_it_is_no_key_of_a_mapping() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(Secret(b"a"))


def test_it_is_not_written_anywhere() -> None:
    with pytest.raises(TypeError, match="never written"):
        pickle.dumps(Secret(b"s3cret"))


def test_it_is_had_by_asking() -> None:
    assert Secret(b"a").reveal() == b"a"


@pytest.mark.parametrize("kept", [Secret(b"s3cret"), Mac(b"s3cret", "sha256")], ids=["secret", "mac"])
@pytest.mark.parametrize("write", [pickle.dumps, copy.copy, copy.deepcopy])
def test_neither_it_nor_its_mac_is_copied(kept: Secret | Mac, write: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match="never written"):
        write(kept)


def test_a_mac_does_not_show_its_key() -> None:
    mac = Mac(b"s3cret", "sha256")
    assert "s3cret" not in f"{mac} {mac!r}"
    assert not hasattr(mac, "__dict__")


@given(st.binary(max_size=300), st.binary(max_size=100), st.sampled_from(HASHES))
def test_a_mac_is_hmac(key: bytes, message: bytes, hash_name: str) -> None:
    assert Mac(key, hash_name).digest(message) == hmac.digest(key, message, hash_name)


@pytest.mark.parametrize("hash_name", HASHES)
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_key_may_be_longer_than_the_hashs_block(hash_name: str, more: int) -> None:
    key = b"k" * (hashlib.new(hash_name).block_size + more)
    assert Mac(key, hash_name).digest(b"m") == hmac.digest(key, b"m", hash_name)


def test_a_mac_is_keyed_once_and_used_for_many_messages() -> None:
    secret = Secret(b"s3cret")
    mac = secret.mac("sha256")
    assert [mac.digest(message) for message in (b"a", b"b", b"a")] == [
        hmac.digest(b"s3cret", message, "sha256") for message in (b"a", b"b", b"a")
    ]
    assert secret.mac("sha256") is mac
    assert secret.mac("sha512").digest(b"a") == hmac.digest(b"s3cret", b"a", "sha512")


def test_an_unknown_hash_is_an_error() -> None:
    with pytest.raises(ValueError, match="unsupported hash"):
        Secret(b"s3cret").mac("sha0")
