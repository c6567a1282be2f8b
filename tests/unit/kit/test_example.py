import pytest

from gateway.core.policy import SigningKey
from gateway.core.secret import Secret
from gateway.core.syntax import read_head
from gateway.kit.example import AT, NONCE, SECRET, example_of
from gateway.kit.facts import Facts
from gateway.signing.window import Window
from tests import messages, world
from tests.unit.kit.kits import facts, message_facts


def test_the_example_is_a_request_that_the_scheme_takes() -> None:
    found = facts()
    assert found.signing is not None
    example = example_of(found, found.signing)
    assert example.string.decode() == f'POST\n/v1/deposits\n{int(AT)}\n{NONCE}\n{{"sample":true}}'
    assert example.reproducible
    start, _, body = example.request.partition("\n\n")
    fields = [tuple(line.encode().split(b": ", 1)) for line in start.splitlines()[1:]]
    head = read_head(method=b"POST", target=b"/v1/deposits", version="HTTP/1.1", fields=fields)  # type: ignore[arg-type]
    keys = {world.SIGNING_KEY_ID: SigningKey(world.SIGNING_KEY_ID, "hmac-sha256", Secret(SECRET.encode()))}
    assert world.scheme().verify(head, body.encode(), keys, Window(1.0, 0.0), AT).nonce == NONCE


@pytest.mark.parametrize("algorithm", ["ed25519", "ecdsa-p384-sha384", "rsa-pss-sha512"])
def test_private_keys_are_thrown_away(algorithm: str) -> None:
    found: Facts = message_facts("@method", "authorization", algorithm=algorithm)
    assert found.signing is not None
    first, second = (example_of(found, found.signing) for _ in range(2))
    assert first.string == second.string
    assert b'"authorization": Bearer example-token\n' in first.string
    assert first.request != second.request
    assert not first.reproducible


def test_a_curve_of_its_own() -> None:
    found = message_facts("@method", algorithm="ecdsa-p256-sha256")
    assert found.signing is not None
    assert messages.HOST in example_of(found, found.signing).request
