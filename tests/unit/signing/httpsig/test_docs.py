"""The answer in docs/signatures.md is signed over the lines shown there."""

import re
from pathlib import Path

from gateway.core.message import Headers
from gateway.signing.httpsig.base import Covered
from gateway.signing.httpsig.digest import check_digests
from gateway.signing.httpsig.inputs import components_of, read_inputs
from gateway.signing.httpsig.message import Request, Response
from tests import messages

PAGE = (Path(__file__).parents[4] / "docs" / "signatures.md").read_text(encoding="utf-8")


def test_the_answer_is_signed_over_the_lines_shown() -> None:
    (answer,) = re.findall(r"^```http\n(HTTP/1.1 200 OK.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (lines,) = re.findall(r"^```text\n(\"@status\".*?)\n^```$", PAGE, re.MULTILINE | re.DOTALL)
    start, _, body = answer.partition("\n\n")
    fields = [line.split(": ", 1) for line in start.splitlines()[1:]]
    headers = Headers([(name.lower(), value) for name, value in fields])
    announced = 'sig1=("@method" "@target-uri");created=1795352399;keyid="acme-2026-11";nonce="3f9a1c"'
    signature = ("signature", "sig1=:CxTdbAIm+MfDT1rBkMUUBzYuRwI9x3B7:")
    head = messages.head(("signature-input", announced), signature, target="/v1/deposits")
    response = Response(200, headers, Request.of(head))
    (found,) = read_inputs(
        headers.single("signature-input") or "", lambda text: Covered.of(components_of(text), {})
    ).values()
    assert found.covered.base(response, found.parameters.text).decode() == lines
    check_digests(headers, body.removesuffix("\n").encode())
