import pytest

from gateway.core.message import Headers, Instant
from gateway.signing.httpsig.fields import read_dictionary
from gateway.signing.httpsig.negotiation import FIELD, read_wishes, write_demand
from gateway.signing.httpsig.sign import Terms
from tests.messages import NOW, components


def wishes(text: str) -> list[str]:
    return [each.label for each in read_wishes(Headers([(FIELD, text)]))]


def test_a_wish() -> None:
    text = 'a=("@status" "@method";req);created;expires;nonce="n";alg="ed25519";keyid="k";tag="t"'
    (found,) = read_wishes(Headers([(FIELD, text)]))
    assert (found.label, found.components) == ("a", components("@status", '"@method";req'))
    assert (found.created, found.expires, found.nonce, found.alg, found.key_id, found.tag) == (
        True, True, "n", "ed25519", "k", "t"
    )  # fmt: skip
    assert "'n'" not in repr(found)
    assert found.fits("k", "ed25519")
    assert not found.fits("k", "rsa-pss-sha512")
    assert not found.fits("other", "ed25519")


def test_what_a_wish_leaves_open_is_the_gates() -> None:
    (found,) = read_wishes(Headers([(FIELD, 'a=("@status")')]))
    own = Terms(NOW, "k", expires=Instant(NOW + 9), tag="own")
    assert found.terms(own, "ed25519") == Terms(NOW, "k", None, Instant(NOW + 9), None, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a=1",
        'a=("@status"',
        'a=("@method";req)',  # no status: it could pass for a request
        "a=()",
        'a=("@status" "@signature-params")',
        'a=("@status" 1)',
        'a=("@status");created=1',  # the signer's to say (RFC 9421 5.1)
        'a=("@status");nonce',
        'a=("@status");nonce=""',
        'a=("@status");unknown="x"',
        'a=("@status"), a=("@status")',
        'a=("@status"), b=("@status"), c=("@status")',
        f'a=("@status" {" ".join(f"{chr(34)}x-{n}{chr(34)}" for n in range(16))})',
        f'a=("@status");nonce="{"x" * 300}"',
        "x" * 9_000,
    ],
)
def test_what_is_no_wish_is_passed_over(text: str) -> None:
    assert wishes(text) == []


def test_one_wish_that_cannot_be_fulfilled_does_not_spoil_the_other() -> None:
    assert wishes('a=("@method"), b=("@status")') == ["b"]
    assert read_wishes(Headers()) == ()


def test_a_demand_is_what_the_next_request_needs() -> None:
    text = write_demand("sig1", components("@method", "content-digest"), tag="t", expires=True)
    assert text == 'sig1=("@method" "content-digest");created;expires;tag="t"'
    assert list(read_dictionary(text)) == ["sig1"]
    assert write_demand("a", components("@path"), tag=None, expires=False) == 'a=("@path");created'
