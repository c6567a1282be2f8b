"""The sample in Python: its standard library, and `cryptography` for public keys."""

import json
from collections.abc import Iterator

from gateway.kit import taken
from gateway.kit.answer_checks import in_python
from gateway.kit.plan import BODY, SCALAR_OCTETS, SHARED, Given, Made, Pieces, Plan, digests, field_variable

_ENCODED = {
    "hex": "{}.hex()",
    "hex-upper": "{}.hex().upper()",
    "base64": "base64.b64encode({}).decode()",
    "base64url": 'base64.urlsafe_b64encode({}).decode().rstrip("=")',
}
_BASE64URL = _ENCODED["base64url"]
_TIMES = {
    "unix": "str(now)",
    "unix-ms": 'f"{now}000"',
    "rfc3339": 'time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))',
    "amz": 'time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))',
}
_TARGET = (
    'target = path + ("?" + query if query else "")',
    "url = base_url + target",
)
_KINDS = {
    "base64": "base64.b64encode(TEXT.encode()).decode()",
    "sha256": "hashlib.sha256(TEXT.encode()).hexdigest()",
    "encoded": 'quote(TEXT, safe="*-._").replace("~", "%7E")',
    "path-again": 'quote(TEXT, safe="/")',
    "sorted-query": (
        '"&".join(\n'
        '    name + "=" + value\n'
        '    for name, _, value in sorted(pair.partition("=") for pair in TEXT.split("&") if pair)\n'
        ")"
    ),
    "day": "TEXT[:8]",
    "length": "str(len(body))",
}
_KEYS = {
    "utf-8": 'read(os.environ["SECRET_FILE"]).removesuffix(b"\\n")',
    "hex": 'bytes.fromhex(read(os.environ["SECRET_FILE"]).decode().strip())',
    "base64": 'base64.b64decode(read(os.environ["SECRET_FILE"]))',
    "whsec": 'base64.b64decode(read(os.environ["SECRET_FILE"]).strip().removeprefix(b"whsec_"))',
}


def write(given: Given) -> str:
    """Give the sample's text."""
    return "\n".join(_lines(given)) + "\n"


def _lines(given: Given) -> Iterator[str]:
    plan, sample = given.plan, given.sample
    shared = plan.shared
    yield "#!/usr/bin/env python3"
    yield f'"""{given.about}\n\n`--string` prints the string to sign instead.{_needs(shared)}\n"""'
    yield ""
    yield "import base64, hashlib, hmac, http.client, os, secrets, ssl, sys, time  # noqa: E401"
    if plan.taken or plan.members:
        yield "import json, zlib  # noqa: E401"
        yield "from decimal import Decimal"
    yield "from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urlsplit"
    yield from () if shared else _imports(plan)
    yield ""
    yield ""
    yield "def read(path):"
    yield '    with open(path, "rb") as file:'
    yield "        return file.read()"
    yield ""
    yield ""
    yield from _functions(plan)
    yield f'base_url = os.environ.get("BASE_URL", {given.base_url!r})'
    yield f'key_id = os.environ.get("KEY_ID", {given.key_id!r})'
    for name, value in sample.fields.items():
        yield f"{field_variable(name)} = {_value(value)}"
    yield f"method, path, authority = {sample.method!r}, {sample.path!r}, urlsplit(base_url).netloc"
    yield f"body = {sample.body!r}.encode()  # signed and sent byte by byte"
    yield 'now = int(os.environ.get("NOW", time.time()))'
    yield f"timestamp, expires = {_TIMES[plan.timestamp_format]}, str(now + {plan.expires_after})"
    yield 'nonce = os.environ.get("NONCE") or secrets.token_hex(16)'
    yield from (f"{each.name} = {_made(each)}" for each in plan.made if each.kind == "encoded")
    yield f"query = {repr(sample.query) if plan.query is None else _text(plan.query)}"
    yield from (f"query += {_parameter(name, variable)}" for name, variable in plan.query_carried)
    yield from _TARGET
    yield from _members(plan)
    for name, digest, encoding in digests(plan):
        yield f"{name} = {_ENCODED[encoding].format(f'hashlib.{digest}(body).digest()')}"
    yield from (f"{each.name} = {_made(each)}" for each in plan.made if each.kind != "encoded")
    yield from (f"{each.name} = {taken.in_python(each, _text)}" for each in plan.taken)
    if plan.hashes_secret:
        yield f'{SHARED} = b"{{secret}}" if "--string" in sys.argv else {_KEYS[given.secret_encoding]}'
    if plan.jose:
        yield f"jose = {_BASE64URL.format(f'({_text(plan.jose)}).encode()')}"
    if plan.payload:
        yield f"payload = {_BASE64URL.format(_bytes(plan.payload))}"
    yield ""
    yield f"string = {_bytes(plan.string)}"
    yield 'if "--string" in sys.argv:'
    yield "    sys.stdout.buffer.write(string)"
    yield "    sys.exit()"
    yield ""
    yield from _signature(plan, given.secret_encoding)
    yield from _sending(given)


def _sending(given: Given) -> Iterator[str]:
    plan, sample = given.plan, given.sample
    yield f"signature = {_ENCODED[plan.encoding].format('raw')}"
    if plan.signature_parameter:
        yield f"query += {_parameter(plan.signature_parameter, 'signature')}"
        yield from _TARGET
    if plan.signature_at:
        yield taken.put(plan.signature_at, "signature")
        yield f"body = {taken.written(plan, node=False)}"
    if plan.sent:
        yield f"body = ({_text(plan.sent)}).encode()"
    yield "headers = {"
    for name in sample.fields:
        yield f"    {name!r}: {field_variable(name)},"
    for name, pieces in plan.headers:
        yield f"    {name!r}: {_text(pieces)},"
    yield "}"
    yield 'context = ssl.create_default_context(cafile=os.environ.get("CA"))'
    yield 'context.load_cert_chain(os.environ["CERT"], os.environ["CERT_KEY"])'
    if given.answers is not None:
        yield ""
        yield ""
        yield in_python(given.answers).rstrip()
        yield ""
        yield ""
    yield "connection = http.client.HTTPSConnection(authority, context=context, timeout=30)"
    yield "connection.request(method, target, body=body or None, headers=headers)"
    yield "answer = connection.getresponse()"
    yield "content = answer.read()"
    if given.answers is not None:
        yield "check_answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, content)"
    yield "sys.stdout.buffer.write(content)"
    yield "sys.exit(answer.status >= 400)"


def _functions(plan: Plan) -> Iterator[str]:
    used = "\n".join([*_members(plan), *(taken.in_python(each, _text) for each in plan.taken)])
    used += taken.put(plan.signature_at, "signature") if plan.signature_at else ""
    used += "quoted(" if plan.query_carried or plan.signature_parameter else ""
    found = taken.functions(used, node=False)
    yield from [found.rstrip(), "", ""] if found else []


def _members(plan: Plan) -> Iterator[str]:
    """Give the lines that take query and body apart, and put into the body what goes there before signing."""
    if plan.takes_query:
        yield f"parameters = {taken.QUERY_READ[0]}"
    if not plan.members:
        return
    yield f"members = {taken.read(plan, node=False)}"
    for way, variable, number in plan.carried:
        yield taken.put(way, f"int({variable})" if number else variable)
    if plan.carried:
        yield f"body = {taken.written(plan, node=False)}"


def _parameter(name: str, variable: str) -> str:
    """Give the expression of a parameter that is put behind the query."""
    return f'("&" if query else "") + {json.dumps(name + "=")} + quoted({variable})'


def _made(made: Made) -> str:
    return _KINDS[made.kind].replace("TEXT", f"({_text(made.of)})")


def _needs(shared: bool) -> str:
    return " Needs the environment variables CERT, CERT_KEY and " + (
        "SECRET_FILE." if shared else "PRIVATE_KEY, and the package `cryptography`."
    )


def _imports(plan: Plan) -> Iterator[str]:
    yield ""
    if plan.algorithm != "ed25519":
        kind = "ec" if plan.algorithm.startswith("ecdsa") else "padding"
        yield "from cryptography.hazmat.primitives import hashes"
        yield f"from cryptography.hazmat.primitives.asymmetric import {kind}"
        if kind == "ec" and not plan.der:
            yield "from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature"
    yield "from cryptography.hazmat.primitives.serialization import load_pem_private_key"


def _value(value: str) -> str:
    prefix, dollar, variable = value.partition("$")
    named = variable.strip("{}").partition(":")[0]
    return f'{prefix!r} + os.environ["{named}"]' if dollar else repr(value)


def _text(pieces: Pieces) -> str:
    return " + ".join(piece.text if piece.variable else repr(piece.text) for piece in pieces)


def _bytes(pieces: Pieces) -> str:
    """Give an expression of bytes: text around the body, which may hold any bytes."""
    lines: list[str] = []
    pending: list[str] = []
    for piece in pieces:
        if piece.variable and piece.text in (BODY, SHARED):
            lines += [f"({' + '.join(pending)}).encode()"] if pending else []
            pending = []
            lines.append(piece.text)
        else:
            pending.append(piece.text if piece.variable else repr(piece.text))
            if piece.text.endswith("\n"):
                lines.append(f"({' + '.join(pending)}).encode()")
                pending = []
    lines += [f"({' + '.join(pending)}).encode()"] if pending else []
    return 'b"".join([\n    ' + ",\n    ".join(lines) + ",\n])"


def _signature(plan: Plan, secret_encoding: str) -> Iterator[str]:
    algorithm = plan.algorithm
    if algorithm.startswith("digest-"):
        yield f'raw = hashlib.new("{algorithm.removeprefix("digest-")}", string).digest()'
        return
    if algorithm.startswith("hmac-"):
        yield f"secret = {_KEYS[secret_encoding]}"
        if plan.key_steps:
            first, *steps = [_text((piece,)) for piece in plan.key_steps]
            yield f"secret = {first}.encode() + secret"
            yield f"for step in ({', '.join(steps)}):"
            yield '    secret = hmac.digest(secret, step.encode(), "sha256")'
        yield f'raw = hmac.digest(secret, string, "{algorithm.removeprefix("hmac-")}")'
        return
    digest = algorithm.rpartition("-")[2].upper()
    yield 'key = load_pem_private_key(read(os.environ["PRIVATE_KEY"]), password=None)'
    if algorithm == "ed25519":
        yield "raw = key.sign(string)"
    elif algorithm.startswith("ecdsa"):
        octets = SCALAR_OCTETS[algorithm.split("-")[1]]
        yield f"raw = key.sign(string, ec.ECDSA(hashes.{digest}()))"
        if not plan.der:
            yield f'raw = b"".join(number.to_bytes({octets}, "big") for number in decode_dss_signature(raw))'
    elif algorithm.startswith("rsa-pss"):
        yield f"pss = padding.PSS(mgf=padding.MGF1(hashes.{digest}()), salt_length=hashes.{digest}.digest_size)"
        yield f"raw = key.sign(string, pss, hashes.{digest}())"
    else:
        yield f"raw = key.sign(string, padding.PKCS1v15(), hashes.{digest}())"
