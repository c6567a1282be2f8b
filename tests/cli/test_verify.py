"""`gateway verify`."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.cli.verify import verify
from gateway.core.message import Headers
from gateway.core.outgoing import Answered
from gateway.policy.presets import preset
from gateway.signing.httpsig.base import Covered
from gateway.signing.httpsig.digest import write_digest
from gateway.signing.httpsig.message import Request
from gateway.signing.httpsig.sign import sign
from gateway.signing.scheme import as_answered
from tests import messages, vendors
from tests.mint import NOW, private_key
from tests.policy.files import BASE, ENVIRON, make_files

POLICY = """\
version: 1
schemes:
  partner: {type: http-message-signatures, covered: ["@method", "@target-uri"], nonce: required}
"""
AT = "2026-11-22T13:00:05Z"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "public.pem").write_bytes(messages.public_pem("ed25519"))
    (tmp_path / "request").write_text(raw())
    return tmp_path


def raw(body: bytes = messages.BODY, **changes: str) -> str:
    """Write a signed request as it stands on the wire."""
    signed = messages.signed(body=body)
    fields = {**dict(signed.headers.fields), **changes}
    lines = [f"{signed.method} {signed.target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\n".join([*lines, "", body.decode()])


def run(folder: Path, *options: str, key: bool = True, at: str = AT) -> Result:
    arguments = [str(folder / "policy.yaml"), "--request", str(folder / "request"), "--at", at, *options]
    arguments += ["--public-key", str(folder / "public.pem")] if key else []
    return CliRunner(env=ENVIRON).invoke(verify, arguments)


def test_a_signature_that_is_right(folder: Path) -> None:
    result = run(folder)
    assert result.exit_code == 0, result.output
    for words in (
        'covered    "@method" "@target-uri" "content-digest"',
        '  | "@method": POST\n  | "@target-uri": https://api.psp.example/v1/deposits?dry=no\n',
        "time       right: 5 s ago",
        "key        ed25519, ed25519",
        "signature  right",
    ):
        assert words in result.output


def test_a_request_as_curl_is_told_of_it(folder: Path) -> None:
    fields = [line for line in raw().split("\n\n", maxsplit=1)[0].splitlines()[1:] if not line.startswith("host")]
    options = [word for line in fields for word in ("-H", line)]
    url = f"https://{messages.HOST}/v1/deposits?dry=no"
    arguments = [str(folder / "policy.yaml"), url, "-d", messages.BODY.decode(), *options, "--at", AT]
    result = CliRunner().invoke(verify, [*arguments, "--public-key", str(folder / "public.pem")])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("request_text", "at", "said"),
    [
        (raw().replace("/v1/deposits?", "/v1/deposits/?"), AT, "it matches without the trailing slash of its path"),
        (raw(), "2026-11-22T12:54:20Z", "time       signature.future: dated 340 s ahead"),
        (raw(signature="sig1=:AAAA:"), AT, "signature  signature.mismatch: "),
        (raw(**{"content-digest": "sha-256=:AAAA:"}), AT, "signature  signature.digest_mismatch: "),
        (raw(**{"signature-input": "sig1=()"}), AT, "form       signature.missing: "),
        (raw(**{"signature-input": "sig1=("}), AT, "form       signature.malformed: "),
    ],
)
def test_a_signature_that_is_wrong(folder: Path, request_text: str, at: str, said: str) -> None:
    (folder / "request").write_text(request_text)
    result = run(folder, at=at)
    assert result.exit_code == 1
    assert said in result.output


def test_what_the_signer_signed_is_compared(folder: Path) -> None:
    (folder / "string").write_text('"@method": POST\n"@target-uri": https://api.psp.example/v1/deposits')
    result = run(folder, "--signed", str(folder / "string"))
    assert result.exit_code == 1
    assert "signed     differs from byte 66 on, in line 2:" in result.output
    assert "v1/deposits>>>?dry=no\\n" in result.output
    assert "v1/deposits>>>(it ends here)" in result.output
    string = [line[4:] for line in result.output.splitlines() if line.startswith("  | ")]
    (folder / "string").write_text("\n".join(string))
    assert "signed     the same bytes" in run(folder, "--signed", str(folder / "string")).output


def test_keys_of_the_policys_partners(tmp_path: Path) -> None:
    make_files(tmp_path)
    (tmp_path / "policies").mkdir()
    for file in BASE.iterdir():
        (tmp_path / "policies" / file.name).write_text(file.read_text())
    arguments = [str(tmp_path / "policies"), "https://api.example/v1/deposits", "--at", AT, "-X", "POST"]
    for header in ("x-key-id: acme-2026-11", "x-timestamp: 1795352400", "x-nonce: n", f"x-signature: {'0' * 64}"):
        arguments += ["-H", header]
    result = CliRunner(env=ENVIRON).invoke(verify, arguments)
    assert result.exit_code == 1
    assert "covered    method, target, timestamp, nonce, body" in result.output
    assert "key        acme-2026-11, hmac-sha256" in result.output
    assert "signature.mismatch" in result.output
    assert "no partner 'none'" in CliRunner(env=ENVIRON).invoke(verify, [*arguments, "--partner", "none"]).output
    assert "acme-2026-11" in CliRunner(env=ENVIRON).invoke(verify, [*arguments, "--partner", "acme-casino"]).output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["https://x/"], "--request FILE, or a URL"),
        (["--secret", "env:ACME_SIGNING_KEY"], "one of them"),
        (["--max-age", "soon"], "is no duration"),
        (["--at", "soon"], "is no point in time"),
    ],
)
def test_what_is_no_question(folder: Path, options: list[str], said: str) -> None:
    result = run(folder, *options)
    assert result.exit_code == 2
    assert said in result.output


def test_a_policy_without_keys_says_how_to_name_one(folder: Path) -> None:
    result = run(folder, key=False)
    assert result.exit_code == 2
    assert "name the key with --public-key or --secret" in result.output


def test_a_key_that_is_none_of_them(folder: Path) -> None:
    result = run(folder, "--algorithm", "ed25519")
    assert result.exit_code == 0, result.output
    (folder / "request").write_text(raw().replace('keyid="ed25519"', 'keyid="other"'))
    assert "signature.mismatch" in run(folder).output


def test_trailers_of_a_request_in_a_file(folder: Path) -> None:
    plain = messages.head(("content-digest", write_digest(messages.BODY)), ("transfer-encoding", "chunked"), body=b"")
    covered = Covered(messages.components("@method", "@target-uri", "content-digest", '"x-sum";tr'))
    request = Request.of(plain)._replace(trailers=Headers([("x-sum", "100.00")]))
    fields = [*plain.headers.fields, *sign(request, covered, messages.terms(), "sig1", messages.signer())]
    lines = [f"POST {plain.target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), ""]
    chunks = [f"{len(messages.BODY):x}", messages.BODY.decode(), "0", "X-Sum: 100.00", "", ""]
    (folder / "request").write_text("\r\n".join([*lines, *chunks]), newline="")
    result = run(folder)
    assert (result.exit_code, '  | "x-sum";tr: 100.00\n' in result.output) == (0, True), result.output
    (folder / "request").write_text("\r\n".join([*lines, *chunks]).replace("100.00", "100.01"), newline="")
    result = run(folder)
    assert (result.exit_code, "signature  signature.mismatch" in result.output) == (1, True), result.output


# Answers


ANSWERS = """\
gateway_keys:
  gate: {algorithm: ed25519, private_key: gate.key}
sign_responses: {scheme: partner, key: gate}
"""


def answer(status: int = 200) -> str:
    """Write the gate's answer as it came."""
    request, body = messages.signed(), b'{"status":"ok"}'
    given = Answered(200, [("content-type", "application/json")], body)
    key = replace(messages.own_key("ed25519"), id="gate")
    fields = messages.scheme().sign_answer(given, request, key=key, now=messages.NOW).fields
    lines = [f"HTTP/1.1 {status} OK", "content-type: application/json", *(f"{name}: {value}" for name, value in fields)]
    return "\n".join([*lines, "", body.decode()])


def test_an_answer_that_is_the_gates(folder: Path) -> None:
    (folder / "answer").write_text(answer())
    result = run(folder, "--response", str(folder / "answer"))
    assert result.exit_code == 0, result.output
    for words in (
        'covered    "@status" "content-digest" "@method";req "@target-uri";req "content-type"',
        '  | "@status": 200\n',
        '  | "@method";req: POST\n',
        "key        gate, ed25519",
        "signature  right: the gate's answer to this request",
    ):
        assert words in result.output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (answer(201), "signature  signature.mismatch"),
        (answer().replace("ok", "no"), "signature  signature.digest_mismatch"),
        (answer().replace("signature-input", "x-other"), "form       signature.missing: the answer is not signed"),
    ],
)
def test_an_answer_that_is_not(folder: Path, text: str, said: str) -> None:
    (folder / "answer").write_text(text)
    result = run(folder, "--response", str(folder / "answer"))
    assert (result.exit_code, said in result.output) == (1, True), result.output


def test_keys_of_the_policys_answers(tmp_path: Path) -> None:
    make_files(tmp_path)
    policies = tmp_path / "policies"
    policies.mkdir()
    for file in BASE.iterdir():
        (policies / file.name).write_text(file.read_text())
    pem = private_key("Ed25519", "partner").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (policies / "gate.key").write_bytes(pem)
    (policies / "answers.yaml").write_text(POLICY + ANSWERS)
    (tmp_path / "request").write_text(raw())
    (tmp_path / "answer").write_text(answer())
    arguments = [str(policies), "--request", str(tmp_path / "request"), "--response", str(tmp_path / "answer")]
    arguments += ["--scheme", "partner", "--at", AT]
    result = CliRunner(env=ENVIRON).invoke(verify, arguments)
    assert result.exit_code == 0, result.output
    (policies / "answers.yaml").write_text(POLICY)
    (policies / "routes.yaml").write_text("version: 1\n")
    result = CliRunner(env=ENVIRON).invoke(verify, arguments)
    assert (result.exit_code, "name the key with" in result.output) == (2, True)


ANSWERING = [name for name in vendors.NAMES if not vendors.signed(name).head.target.count("key=")]
"""Presets that do not put their signature into the query, which no answer has."""


def exchanged(folder: Path, name: str) -> Result:
    """Write a request, and the gate's answer to it signed by a preset; check the answer."""
    found, by = preset(name), vendors.scheme(name)
    head, body = vendors.signed(name) if name != "aws-sigv4" else vendors.sample(name)
    algorithm = found.key["algorithm"]
    kind = [(name, value) for name, value in found.sample.fields.items() if name == "content-type"]
    asked = as_answered(by, head, kind)
    made = by.sign(asked, found.sample.body.encode(), key=vendors.own_key(algorithm), now=NOW, nonce="of-the-answer")
    answer = found.sample.body.encode() if made.body is None else made.body
    start, lines = f"{head.method} {head.target} HTTP/1.1", [": ".join(field) for field in head.headers.fields]
    (folder / "request").write_bytes("\r\n".join([start, *lines, "", ""]).encode("latin-1") + body)
    fields = [": ".join(field) for field in (*kind, *made.fields, ("content-length", str(len(answer))))]
    (folder / "answer").write_bytes("\r\n".join(["HTTP/1.1 200 OK", *fields, "", ""]).encode("latin-1") + answer)
    (folder / "policy.yaml").write_text(f"version: 1\nschemes:\n  {vendors.definition_text(name)}\n")
    return checked_answer(folder, algorithm)


def checked_answer(folder: Path, algorithm: str) -> Result:
    key = ["--secret", f"file:{folder / 'secret'}"]
    (folder / "secret").write_bytes(vendors.SECRET)
    (folder / "secret").chmod(0o600)
    if not vendors.is_secret(algorithm):
        key = ["--public-key", str(folder / "public.pem")]
        (folder / "public.pem").write_bytes(messages.public_pem(algorithm))
    arguments = [str(folder / "policy.yaml"), "--request", str(folder / "request"), "--at", AT, *key]
    arguments += ["--algorithm", algorithm, "--key-id", vendors.KEY_ID, "--response", str(folder / "answer")]
    return CliRunner().invoke(verify, arguments)


@pytest.mark.parametrize("name", ANSWERING)
def test_an_answer_signed_by_a_vendors_scheme(tmp_path: Path, name: str) -> None:
    result = exchanged(tmp_path, name)
    assert result.exit_code == 0, result.output
    assert "signature  right" in result.output
    assert "string to sign, " in result.output
    assert "covered    \n" not in result.output
    whole = (tmp_path / "answer").read_bytes()
    fields = {name for name in vendors.scheme(name).carriers if f"\r\n{name}: ".encode() in whole}
    if fields:
        (tmp_path / "answer").write_bytes(whole.replace(f"\r\n{min(fields)}: ".encode(), b"\r\nx-other: "))
        result = checked_answer(tmp_path, preset(name).key["algorithm"])
        assert (result.exit_code, "form       signature.missing" in result.output) == (1, True), result.output


@pytest.mark.parametrize("name", ["hub88", "uk-open-banking", "worldpay", "aws-sigv4", "standard-webhooks-v1a"])
def test_an_answer_whose_body_was_changed(tmp_path: Path, name: str) -> None:
    exchanged(tmp_path, name)
    whole = (tmp_path / "answer").read_bytes()
    (tmp_path / "answer").write_bytes(whole[:-1] + b" ")
    result = checked_answer(tmp_path, preset(name).key["algorithm"])
    assert (result.exit_code, "signature.mismatch" in result.output or "digest" in result.output) == (1, True)
