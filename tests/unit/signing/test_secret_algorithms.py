import hashlib
import hmac

import pytest

from gateway.core.secret import Secret
from gateway.signing.secret_algorithms import SECRET_ALGORITHMS, least_secret


@pytest.mark.parametrize("name", SECRET_ALGORITHMS)
def test_each_is_what_its_name_says(name: str) -> None:
    kind, _, hash_name = name.partition("-")
    algorithm = SECRET_ALGORITHMS[name]
    given = algorithm.digest(Secret(b"secret"), b"text")
    expected = (
        hmac.digest(b"secret", b"text", hash_name) if kind == "hmac" else hashlib.new(hash_name, b"text").digest()
    )
    assert (given, len(given), algorithm.keyed) == (expected, algorithm.size, kind == "hmac")


def test_only_hmac_by_sha2_is_sound() -> None:
    sound = [name for name, algorithm in SECRET_ALGORITHMS.items() if not algorithm.weak]
    assert sound == ["hmac-sha256", "hmac-sha384", "hmac-sha512"]


@pytest.mark.parametrize(
    ("name", "encoding", "least"),
    [("hmac-sha256", "", 32), ("hmac-sha512", "hex", 32), ("hmac-md5", "", 16), ("digest-sha1", "", 20),
     ("hmac-sha256", "whsec", 24)],
)  # fmt: skip
def test_secrets_are_long_enough(name: str, encoding: str, least: int) -> None:
    assert least_secret(name, encoding) == least
