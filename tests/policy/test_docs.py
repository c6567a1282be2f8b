"""The examples of docs/policy.md are one valid policy."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.core.chain import ORDER
from gateway.core.policy import Limits
from gateway.core.syntax import read_head
from gateway.policy import PolicyInvalid, load
from gateway.policy.composed_parts import _COMPOSED, _SIMPLE
from gateway.policy.document import NAMED, SINGLES
from gateway.policy.jws_schemes import KEYS as JWS_KEYS
from gateway.policy.message_schemes import _OPTIONAL
from gateway.policy.schemes import KEYS as COMPOSED_KEYS
from gateway.signing.algorithms import PUBLIC_KEY_ALGORITHMS
from gateway.signing.httpsig.base import Covered
from gateway.signing.httpsig.component import DERIVED
from gateway.signing.httpsig.digest import check_digests
from gateway.signing.httpsig.inputs import components_of, read_inputs
from gateway.signing.httpsig.message import Request
from gateway.signing.httpsig.profiles import PROFILES
from gateway.signing.jws_scheme import JOSE_ALGORITHMS
from tests.mint import private_key
from tests.policy.files import BASE, ENVIRON, NOW

PAGE = (Path(__file__).parents[2] / "docs" / "policy.md").read_text()
LIMITS: list[str] = re.findall(r"^```yaml\n(    rate_limit:.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
HEADER = "version: 1\nname: psp\nowner: payments-security\nreview_by: 2027-05-01\n"


def test_the_examples_are_a_valid_policy(world: Path) -> None:
    blocks = re.findall(r"^```yaml\n(\w.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    stores = [block for block in blocks if block.startswith("state:")]
    assert len(stores) == 2
    blocks.remove(stores[0])  # one of two ways
    text = HEADER + "".join(blocks).replace("internal-ca", "partners-ca").replace("../certs/", "certs/")
    (world / "documented.yaml").write_text(text)
    loaded = load(world / "documented.yaml", ENVIRON, now=NOW)
    assert loaded.warnings == ()
    assert [control.name for control in loaded.policy.routes[0].chain] == list(ORDER)


def test_the_limits_by_partner_are_a_valid_example(world: Path) -> None:
    rates = next(each for each in LIMITS if "default:" in each)
    (partner,) = re.findall(r"^```yaml\n(    tier:.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (world / "tiers").mkdir()
    for file in BASE.iterdir():
        text = re.sub(r"^    rate_limit:.*\n", rates, file.read_text(), flags=re.MULTILINE)
        if file.name == "partners.yaml":
            text += partner.replace("withdraw", "deposit")
        (world / "tiers" / file.name).write_text(text)
    assert load(world / "tiers", ENVIRON, now=NOW).warnings == ()


@pytest.mark.parametrize("rates", [each for each in LIMITS if "default:" not in each])
def test_limits_are_valid_examples(world: Path, rates: str) -> None:
    (world / "limits").mkdir(exist_ok=True)
    for file in BASE.iterdir():
        text = re.sub(r"^    rate_limit:.*\n", rates, file.read_text(), flags=re.MULTILINE)
        (world / "limits" / file.name).write_text(text)
    assert load(world / "limits", ENVIRON, now=NOW).warnings == ()


def test_a_store_of_the_gates_own_is_a_valid_example(world: Path) -> None:
    (text,) = re.findall(r"^```yaml\n(state: \{.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (world / "embedded.yaml").write_text(HEADER + text)
    with pytest.raises(PolicyInvalid) as caught:
        load(world / "embedded.yaml", ENVIRON, now=NOW)
    assert not [problem for problem in caught.value.problems if problem.path.startswith("state")]


def test_the_complete_example_is_a_valid_policy(world: Path) -> None:
    (text,) = re.findall(r"^```yaml\n(# .*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for name, key in (("2026", "ed25519"), ("2027", "rsa-2048")):
        text = text.replace(f"first-bank-{name}.pem", f"acme-{key}.pem")
    (world / "example").mkdir()
    (world / "example" / "banking.yaml").write_text(text)
    loaded = load(world / "example", ENVIRON, now=NOW)
    assert loaded.warnings == ()
    assert [route.name for route in loaded.policy.routes] == ["payment", "balance"]


def test_the_request_of_the_example_is_signed_over_the_lines_shown() -> None:
    (request,) = re.findall(r"^```http\n(POST /v1/payments.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (lines,) = re.findall(r"^```text\n(\"@method\".*?)\n^```$", PAGE, re.MULTILINE | re.DOTALL)
    start, _, body = request.partition("\n\n")
    fields = [tuple(part.encode() for part in line.split(": ", 1)) for line in start.splitlines()[1:]]
    head = read_head(method=b"POST", target=b"/v1/payments", version="HTTP/1.1", fields=fields)
    (announced,) = read_inputs(
        head.headers.single("signature-input") or "", lambda text: Covered.of(components_of(text), {})
    ).values()
    assert announced.covered.base(Request.of(head), announced.parameters.text).decode() == lines
    check_digests(head.headers, body.removesuffix("\n").encode())


@pytest.mark.parametrize(
    "named",
    [*_OPTIONAL, "preset", "covered", "tag", *PROFILES, *PUBLIC_KEY_ALGORITHMS, "public_key"],
)
def test_every_key_of_message_signatures_is_described(named: str) -> None:
    assert f"`{named}`" in PAGE or f"`{named}: " in PAGE


@pytest.mark.parametrize("named", [*JWS_KEYS, "algorithms", *JOSE_ALGORITHMS])
def test_every_key_of_jws_is_described(named: str) -> None:
    assert f"`{named}`" in PAGE


@pytest.mark.parametrize("named", [*COMPOSED_KEYS, "algorithm", "string_to_sign", "signature"])
def test_every_key_of_composed_schemes_is_described(named: str) -> None:
    assert f"`{named}`" in PAGE


@pytest.mark.parametrize("part", [*_SIMPLE, *_COMPOSED])
def test_every_part_of_a_string_to_sign_is_described(part: str) -> None:
    assert f"`{part}`" in PAGE or f"{{{part}: " in PAGE


@pytest.mark.parametrize("name", [each for each in DERIVED if each != "@status"])
def test_every_component_is_described(name: str) -> None:
    assert f'"{name}"' in PAGE


@pytest.mark.parametrize("section", [*SINGLES, *NAMED, "routes", "version", *ORDER])
def test_every_section_and_control_is_described(section: str) -> None:
    assert f"`{section}`" in PAGE


@pytest.mark.parametrize("limit", [each.name for each in fields(Limits)])
def test_every_limit_is_described(limit: str) -> None:
    assert f"`limits.{limit}`" in PAGE


SIGNATURES = (Path(__file__).parents[2] / "docs" / "signatures.md").read_text()


def test_the_examples_of_what_the_gate_signs_are_a_valid_policy(world: Path) -> None:
    (answers,) = re.findall(r"^```yaml\n(# policies/answers.yaml.*?)^```$", SIGNATURES, re.MULTILINE | re.DOTALL)
    (vendor,) = re.findall(r"^```yaml\nupstreams:\n(.*?)^```$", SIGNATURES, re.MULTILINE | re.DOTALL)
    example = world / "signs"
    example.mkdir()
    for file in BASE.iterdir():
        text = (
            file.read_text()
            .replace("upstreams:\n", f"upstreams:\n{vendor}")
            .replace("upstream: psp", "upstream: vendor")
        )
        (example / file.name).write_text(text)
    own = "  vendor-7: {algorithm: hmac-sha256, secret: env:OTHER_SIGNING_KEY}\n"
    scheme = "  vendor: {preset: softswiss}\n"
    text = answers.replace("gateway_keys:\n", f"gateway_keys:\n{own}").replace("schemes:\n", f"schemes:\n{scheme}")
    (example / "answers.yaml").write_text(f"version: 1\n{text}")
    key = private_key("Ed25519", "gate").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (world / "certs" / "answers.key").write_bytes(key)
    (world / "certs" / "answers.key").chmod(0o600)
    (route,) = load(example, ENVIRON, now=NOW).policy.routes
    assert route.answers is not None
    assert route.upstream.signer is not None
    assert (route.answers.described, route.upstream.signer.described) == (
        "partner by key gate-2026-11", "vendor by key vendor-7"
    )  # fmt: skip
