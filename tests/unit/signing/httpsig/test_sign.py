import pytest

from gateway.core.message import Headers
from gateway.signing.httpsig.base import Covered
from gateway.signing.httpsig.inputs import read_signature
from gateway.signing.httpsig.message import Request, Response
from gateway.signing.httpsig.sign import Terms, sign
from gateway.signing.httpsig.values import AbsentError
from tests import messages
from tests.mint import NOW


def test_the_parameters_in_order() -> None:
    terms = Terms(NOW, "k", "ed25519", messages.later(60), "n", "t")
    assert terms.write() == (';created=1795352400;keyid="k";alg="ed25519";expires=1795352460;nonce="n";tag="t"')
    assert Terms(None, None).write() == ""


@pytest.mark.parametrize(
    "terms",
    [
        Terms(NOW, ""),
        Terms(NOW, "k", nonce="caf\xe9"),
        Terms(NOW, "k", expires=messages.later(-1)),
        Terms(NOW, "k" * 300),
    ],
)
def test_parameters_that_would_be_refused(terms: Terms) -> None:
    with pytest.raises(ValueError, match=r"keyid|contains disallowed|expires"):
        terms.write()


def test_a_response_is_signed_with_its_request() -> None:
    request = Request.of(messages.head(("signature", "sig1=:AQI=:")))
    response = Response(200, Headers([("content-type", "application/json")]), request)
    covered = Covered(messages.components("@status", "content-type", "@method;req", 'signature;req;key="sig1"'))
    fields = dict(sign(response, covered, Terms(NOW, "gate"), "gate", messages.signer()))
    text = ';created=1795352400;keyid="gate"'
    assert fields["signature-input"] == f"gate={covered.text}{text}"
    signature = read_signature(fields["signature"], "gate")
    assert signature is not None
    base = covered.base(response, text)
    assert base.startswith(
        b'"@status": 200\n"content-type": application/json\n"@method";req: POST\n"signature";req;key='
    )
    assert messages.signing_key().public.verifies(base, signature)


def test_what_is_not_there_is_not_signed() -> None:
    with pytest.raises(AbsentError):
        sign(
            Request.of(messages.head()), Covered(messages.components("x-one")), Terms(NOW, "k"), "a", messages.signer()
        )
