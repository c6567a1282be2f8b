"""`gateway partner kit`: what its samples send, the gate takes, in bash, Python and JavaScript."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from gateway.cli.partner import kit
from gateway.kit.example import AT, NONCE, TOKEN
from gateway.signing.algorithms import ALGORITHMS
from gateway.signing.secret_algorithms import SECRET_ALGORITHMS
from tests import messages, node, world
from tests.engine.harness import serving
from tests.engine.services import Folder, Served, again
from tests.mint import private_key

SIGN = {"sh": ["bash"], "py": [sys.executable], "mjs": ["node"]}
MESSAGES = """\
  standard: {type: http-message-signatures, covered: ["@method", "@target-uri", authorization], nonce: required}
"""
ANSWERS = """\
gateway_keys:
  gate: {algorithm: ALGORITHM, private_key: gate-answers.key}

sign_responses: {scheme: answers, key: gate}

schemes:
  answers:
    type: http-message-signatures
    covered: ["@method"]
    responses: {label: psp, expires_after: 60s}
"""
"""Has answers signed."""
VENDOR = """\
  lines:
    algorithm: ecdsa-p256-sha256
    ecdsa: der
    encoding: base64url
    separator: "\\n"
    string_to_sign:
      [{literal: "it's v1"}, method, path, query, target, {header: host}, {header: content-type}, timestamp, nonce,
       {digest: sha384, encoding: base64}, {digest: sha256}, body]
    key_id: {header: X-Key-Id}
    timestamp: {header: X-Timestamp, format: rfc3339}
    nonce: {header: X-Nonce}
    signature: {header: X-Signature, prefix: "v1="}
"""
"""A scheme with every part that the samples have words for."""
SCHEMES = {
    "uk-open-banking": ("rsa-pss-sha256", "{preset: uk-open-banking}"),
    "unencoded": ("ecdsa-p256-sha256", "{type: jws, header: X-JWS, algorithms: [ES256], b64: no}"),
    "attached": ("ed25519", "{type: jws, header: X-JWS, algorithms: [EdDSA], carried: attached}"),
    "in-body": ("rsa-v1_5-sha512", "{type: jws, algorithms: [RS512], carried: body, nonce: {parameter: jti}}"),
    "nuvei": ("digest-sha256", "{preset: nuvei, WEAK}"),
    "stripe": ("hmac-sha256", "{preset: stripe}"),
    "trustly": ("rsa-v1_5-sha1", "{preset: trustly, WEAK}"),
}
"""Algorithm and scheme, by what the schemes are about; tests/cli/test_partner_schemes.py has all of them."""
DATED = ("uk-open-banking", "stripe")
CHANGED = {
    "sh": ('"@$work/body"', '"$(sed "s/.$/ /" "$work/body")"'),
    "py": ("body=body or None", "body=other(body)"),
    "mjs": ("call.end(sent)", "call.end(other(sent.toString()))"),
}
OTHER = {
    "sh": "",
    "py": """
def other(body):
    changed = body.replace(b"ampl", b"ampm").replace(b"true", b"null")
    return changed if changed != body else body[:-1] + b" "
""",
    "mjs": """
function other(body) {
  const changed = body.replaceAll("ampl", "ampm").replaceAll("true", "null");
  return changed !== body ? changed : body.slice(0, -1) + " ";
}
""",
}
"""Pieces of samples, and what has another body sent than the one that was signed."""
COMPOSED = "  lines:"
SIGNERS = ("ed25519", "ecdsa-p384-sha384", "rsa-pss-sha512")
SECRET = '      - {id: acme-2026-11, algorithm: hmac-sha256, secret: "file:acme.secret"}\n'


def changes(algorithm: str) -> dict[str, str]:
    """Have the route's requests signed by RFC 9421."""
    from tests.engine.services import POLICY  # noqa: PLC0415 - its text

    text = POLICY.replace("{{", "{").replace("}}", "}")
    composed = text[text.index(COMPOSED) : text.index("\npartners:")]
    if algorithm.startswith("answers-"):
        return {"schemes:\n": ANSWERS.replace("ALGORITHM", algorithm.removeprefix("answers-"))}
    if algorithm in SCHEMES:
        named, scheme = SCHEMES[algorithm]
        key = f"      - {{id: acme-2026-11, algorithm: {named}, public_key: signing.pub}}\n"
        own = {SECRET: key}
        if named in SECRET_ALGORITHMS:
            own = {SECRET: SECRET.replace("hmac-sha256", named)}
        scheme = scheme.replace("WEAK", "allow_weak: {owner: tests, until: 2100-01-01}")
        undated = {", max_age: 60s, max_ahead: 5s": "", "replay: required": 'replay: {off: "three of the same here"}'}
        window = {} if algorithm in DATED else undated
        return {composed: f"  vendor: {scheme}\n", "scheme: lines": "scheme: vendor", **own, **window}
    if algorithm == "vendor":
        key = "      - {id: acme-2026-11, algorithm: ecdsa-p256-sha256, public_key: signing.pub}\n"
        return {composed: VENDOR, SECRET: key}
    key = f"      - {{id: acme-2026-11, algorithm: {algorithm}, public_key: signing.pub}}\n"
    own = {SECRET: key} if algorithm != "hmac-sha256" else {}
    return {composed: MESSAGES, "scheme: lines": "scheme: standard", **own}


@pytest.fixture
async def up(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    """A gate whose partner signs by the algorithm of the test, or by the vendor's own scheme."""
    algorithm: str | None = request.param
    async with serving() as upstream:
        folder = Folder(tmp_path, upstream.port)
        folder.write()
        named = "ecdsa-p256-sha256" if algorithm == "vendor" else SCHEMES.get(algorithm or "", (algorithm,))[0]
        if named in messages.KINDS:
            key = private_key(messages.KINDS[named], "partner")
            folder.put("signing.pub", messages.public_pem(named))
            folder.put("signing.key", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        if algorithm is not None and algorithm.startswith("answers-"):
            key = private_key(messages.KINDS[algorithm.removeprefix("answers-")], "gate")
            folder.put("gate-answers.key", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        folder.put_policy(**({} if algorithm is None else changes(algorithm)))
        async with again(folder, upstream) as service:
            yield service


def make(up: Served, *more: str) -> Path:
    """Write the kit."""
    output = up.folder.path / "kit"
    arguments = [str(up.folder.policy), "acme-casino", "--output", str(output), *more]
    result = CliRunner().invoke(kit, [*arguments, "--url", f"https://localhost:{up.port}"])
    assert result.exit_code == 0, result.output
    return output


async def run(up: Served, output: Path, ending: str, *words: str, **environ: str) -> tuple[int, bytes, bytes]:
    folder = up.folder.path
    given = {
        "PATH": os.environ["PATH"], "CERT": f"{folder}/partner.pem", "CERT_KEY": f"{folder}/partner.pem",
        "CA": f"{folder}/operator-ca.pem", "SECRET_FILE": f"{folder}/acme.secret", "TOKEN": world.token(),
        "PRIVATE_KEY": f"{folder}/signing.key", "NOW": str(int(world.NOW)), "no_proxy": "*", **environ,
    }  # fmt: skip
    node.program("node")
    command = [*SIGN[ending], str(output / "sample" / f"sign.{ending}"), *words]
    process = await asyncio.create_subprocess_exec(*command, env=given, stdout=-1, stderr=-1)
    out, error = await process.communicate()
    return process.returncode or 0, out, error


@pytest.mark.parametrize("up", [None, "vendor", *ALGORITHMS], indirect=True)
async def test_the_samples_run(up: Served) -> None:
    output = make(up)
    for ending in SIGN:
        assert await run(up, output, ending) == (0, b'{"status":"ok"}', b""), ending
    assert up.upstream.bodies == [b'{"sample":true}'] * 3


@pytest.mark.parametrize("up", [None, "vendor", "ed25519"], indirect=True)
async def test_the_samples_show_the_string_to_sign_of_the_example(up: Served) -> None:
    output = make(up)
    string = (output / "sample" / "string-to-sign.txt").read_bytes()
    for ending in SIGN:
        shown = await run(up, output, ending, "--string", NONCE=NONCE, TOKEN=TOKEN)
        assert shown == (0, string, b""), ending
    page = (output / "signing.md").read_text()
    assert f"```text\n{string.decode()}\n```" in page


@pytest.mark.parametrize(
    "up", ["answers-ed25519", "answers-ecdsa-p384-sha384", "answers-rsa-pss-sha512"], indirect=True
)
async def test_the_samples_check_the_gates_answers(up: Served) -> None:
    output = make(up)
    for ending in ("py", "mjs"):
        assert await run(up, output, ending) == (0, b'{"status":"ok"}', b""), ending
        code, out, _ = await run(up, output, ending, KEY_ID="other")
        assert (code, b'"code":"signature.key_unknown"' in out) == (1, True)  # a refusal that is signed
    key = output / "gateway-key.pem"
    assert "PRIVATE" not in key.read_text()
    kind = "Ed25519" if b"MCow" in key.read_bytes() else "P-384" if b"MHYw" in key.read_bytes() else "RSA-2048"
    other = private_key(kind, "somebody else").public_key()
    key.write_bytes(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    for ending in ("py", "mjs"):
        code, out, error = await run(up, output, ending)
        assert (code != 0, out, b"Error" in error or b"InvalidSignature" in error) == (True, b"", True), error


@pytest.mark.parametrize("up", SCHEMES, indirect=True)
async def test_the_samples_for_vendors_schemes_run(up: Served) -> None:
    output = make(up)
    string = (output / "sample" / "string-to-sign.txt").read_bytes()
    for number, ending in enumerate(SIGN):
        shown = await run(up, output, ending, "--string", NONCE=NONCE, TOKEN=TOKEN, NOW=str(int(AT)))
        assert shown == (0, string, b""), ending
        now = str(int(world.NOW) - number)  # without nonce, one made in the same second is the same
        sent = await run(up, output, ending, NOW=now, TOKEN=world.token())
        assert sent == (0, b'{"status":"ok"}', b""), ending
    for ending in SIGN:
        whole, other = CHANGED[ending]
        file = output / "sample" / f"sign.{ending}"
        assert whole in file.read_text()
        shebang, rest = file.read_text().split("\n", 1)
        file.write_text(shebang + "\n" + OTHER[ending] + rest.replace(whole, other))
        _, out, error = await run(up, output, ending)
        assert b'"code":"signature.' in out, (ending, out, error)


@pytest.mark.parametrize("up", [None], indirect=True)
async def test_a_refusal_ends_the_samples_with_an_error(up: Served) -> None:
    output = make(up, "--encoding", "utf-8")
    for ending in ("py", "mjs"):
        code, out, _ = await run(up, output, ending, KEY_ID="other")
        assert (code, b'"code":"signature.key_unknown"' in out) == (1, True)


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("nobody", [], "no partner 'nobody'"),
        ("acme-casino", ["--route", "none"], "may call no route 'none'"),
        ("acme-casino", ["--encoding", "morse"], "'morse' is not one of"),
    ],
)
def test_what_no_kit_is_made_for(tmp_path: Path, name: str, more: list[str], said: str) -> None:
    folder = Folder(tmp_path, 9_000)
    folder.write()
    result = CliRunner().invoke(kit, [str(folder.policy), name, "--output", str(tmp_path / "kit"), *more])
    assert result.exit_code != 0
    assert said in result.output
    assert not (tmp_path / "kit").exists()


def test_nothing_is_overwritten_and_a_bad_policy_is_told(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 9_000)
    folder.write()
    result = CliRunner().invoke(kit, [str(folder.policy), "acme-casino", "--output", str(tmp_path)])
    assert (result.exit_code, "is there already" in result.output) == (2, True)
    folder.put("policy.yaml", b"version: 1\n")
    result = CliRunner().invoke(kit, [str(folder.policy), "acme-casino", "--output", str(tmp_path / "kit")])
    assert (result.exit_code, "policy.yaml:1:1" in result.output) == (2, True)


@pytest.mark.parametrize(("said", "more", "read"), [
    (", encoding: hex", [], "bytes.fromhex("), ("", [], '.removesuffix(b"\\n")'),
    ("", ["--encoding", "base64"], "b64decode(read("),
    (", encoding: hex", ["--encoding", "utf-8"], '.removesuffix(b"\\n")'),
])  # fmt: skip
def test_the_secret_is_read_as_the_policy_says(tmp_path: Path, said: str, more: list[str], read: str) -> None:
    folder = Folder(tmp_path, 9_000)
    folder.write()
    folder.put("acme.secret", b"0123456789abcdef" * 4)
    folder.put_policy(**{'secret: "file:acme.secret"}': f'secret: "file:acme.secret"{said}}}'})
    arguments = [str(folder.policy), "acme-casino", "--output", str(tmp_path / "kit"), *more]
    result = CliRunner().invoke(kit, arguments)
    assert result.exit_code == 0, result.output
    assert read in (tmp_path / "kit" / "sample" / "sign.py").read_text()
