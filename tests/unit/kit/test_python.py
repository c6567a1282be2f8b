"""Whether the samples run is tested in tests/cli/test_partner.py, against the gate."""

from dataclasses import replace

import pytest

from gateway.kit.facts import Facts
from gateway.kit.plan import ENCODINGS, Given
from gateway.kit.python import write
from gateway.signing.algorithms import PUBLIC_KEY_ALGORITHMS
from gateway.signing.secret_algorithms import SECRET_ALGORITHMS
from tests.unit.kit.kits import facts, message_facts

ALGORITHMS = (*SECRET_ALGORITHMS, *PUBLIC_KEY_ALGORITHMS)


def sample(found: Facts, written: str = "utf-8", **changes: str) -> str:
    signing = found.signing
    assert signing is not None
    plan = replace(signing.plan, **changes)  # type: ignore[arg-type]
    return write(Given(plan, signing.sample, "A sample.", "https://api.example", "it's mine", written))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_asks_for_its_kind_of_key(algorithm: str) -> None:
    text = sample(message_facts(), algorithm=algorithm)
    assert ("SECRET_FILE" in text, "PRIVATE_KEY" in text) == (
        algorithm in SECRET_ALGORITHMS, algorithm not in SECRET_ALGORITHMS
    )  # fmt: skip


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_secrets_are_read_as_they_are_written(encoding: str) -> None:
    others = {sample(facts(), each) for each in ENCODINGS if each != encoding}
    assert sample(facts(), encoding) not in others


def test_every_form_of_time_and_signature_has_words() -> None:
    for form in ("unix", "unix-ms", "rfc3339", "amz"):
        assert sample(facts(), timestamp_format=form)
    for encoding in ("hex", "hex-upper", "base64", "base64url"):
        assert sample(facts(), encoding=encoding)
