"""Whether the samples sign so is tested in tests/cli/test_partner_schemes.py, against the gate."""

import pytest

from gateway.kit.plan import Pieces, Sample
from gateway.kit.sigv4_plan import sigv4_plan
from gateway.signing.sigv4 import SigV4Scheme


def written(pieces: Pieces) -> str:
    return "".join(f"{{{piece.text}}}" if piece.variable else piece.text for piece in pieces)


@pytest.mark.parametrize(("service", "path"), [("execute-api", "{canonical_path}"), ("s3", "{path}")])
def test_the_canonical_request_and_the_key(service: str, path: str) -> None:
    sample = Sample("POST", "/a", "{}", {"content-type": "application/json", "x-amz-security-token": "t", "x-b": "c"})
    plan = sigv4_plan(SigV4Scheme("aws", "eu-west-1", service), sample)
    made = {each.name: written(each.of) for each in plan.made}
    names = "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token"
    assert made["canonical_hash"].splitlines()[1:3] == [path, "{canonical_query}"]
    assert made["canonical_hash"].endswith(f"\n\n{names}\n{{digest_sha256_hex}}")
    scope = f"{{day}}/eu-west-1/{service}/aws4_request"
    assert written(plan.string) == f"AWS4-HMAC-SHA256\n{{timestamp}}\n{scope}\n{{canonical_hash}}"
    assert written(plan.key_steps) == f"AWS4{{day}}eu-west-1{service}aws4_request"
