import pytest

from gateway.policy.sigv4_schemes import read_sigv4_scheme
from gateway.signing.sigv4 import SigV4Scheme
from tests.policy.reading import definition, problems, reader


def test_a_scheme() -> None:
    used = reader()
    found = read_sigv4_scheme(used, "aws", definition("{type: aws-sigv4, region: eu-west-1, service: s3}"))
    assert found == SigV4Scheme("aws", "eu-west-1", "s3")
    assert "there is no nonce" in problems(used)[0]


@pytest.mark.parametrize(
    "text", ["{}", "{region: eu-west-1}", "{region: EU, service: s3}", "{region: a/b, service: s3}", "[]"]
)
def test_what_is_no_scheme(text: str) -> None:
    used = reader()
    assert read_sigv4_scheme(used, "aws", definition(text)) is None
    assert used.errors
