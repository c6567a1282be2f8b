"""The sample in JavaScript: node without packages."""

import json
from collections.abc import Iterator

from gateway.kit import taken
from gateway.kit.answer_checks import in_node
from gateway.kit.plan import BODY, SHARED, Given, Made, Pieces, Plan, digests, field_variable

_ENCODED = {
    "hex": '{}.toString("hex")',
    "hex-upper": '{}.toString("hex").toUpperCase()',
    "base64": '{}.toString("base64")',
    "base64url": '{}.toString("base64url")',
}
_TIMES = {
    "unix": "String(now)",
    "unix-ms": "`${now}000`",
    "rfc3339": 'new Date(now * 1000).toISOString().replace(".000Z", "Z")',
    "amz": 'new Date(now * 1000).toISOString().replace(".000Z", "Z").replace(/[-:]/g, "")',
}
_TARGET = 'path + (query && "?" + query)'
_ESCAPED = '(each) => "%" + each.charCodeAt(0).toString(16).toUpperCase()'
_KINDS = {
    "base64": 'Buffer.from(TEXT).toString("base64")',
    "sha256": 'createHash("sha256").update(TEXT).digest("hex")',
    "encoded": f"encodeURIComponent(TEXT).replace(/[!'()~]/g, {_ESCAPED})",
    "path-again": f'TEXT.split("/").map(encodeURIComponent).join("/").replace(/[!\'()*]/g, {_ESCAPED})',
    "sorted-query": (
        'TEXT.split("&").filter(Boolean).map((pair) => pair.split("="))\n'
        "  .sort(([name, value], [other, another]) =>\n"
        "    name < other ? -1 : name > other ? 1 : value < another ? -1 : 1)\n"
        '  .map(([name, value = ""]) => `${name}=${value}`).join("&")'
    ),
    "day": "TEXT.slice(0, 8)",
    "length": "String(body.length)",
}
_KEYS = {
    "utf-8": 'Buffer.from(readFileSync(env.SECRET_FILE, "utf8").replace(/\\n$/, ""))',
    "hex": 'Buffer.from(readFileSync(env.SECRET_FILE, "utf8").trim(), "hex")',
    "base64": 'Buffer.from(readFileSync(env.SECRET_FILE, "utf8"), "base64")',
    "whsec": 'Buffer.from(readFileSync(env.SECRET_FILE, "utf8").trim().replace(/^whsec_/, ""), "base64")',
}


def write(given: Given) -> str:
    """Give the sample's text."""
    return "\n".join(_lines(given)) + "\n"


def _lines(given: Given) -> Iterator[str]:
    plan, sample = given.plan, given.sample
    shared = plan.shared
    yield "#!/usr/bin/env node"
    yield from (f"// {line}".rstrip() for line in given.about.splitlines())
    yield "// `--string` prints the string to sign instead. Needs the environment variables CERT, CERT_KEY and"
    yield f"// {'SECRET_FILE' if shared else 'PRIVATE_KEY'}, and node 18 or later."
    yield 'import { constants, createHash, createHmac, randomBytes, sign, verify } from "node:crypto";'
    yield 'import { readFileSync } from "node:fs";'
    yield 'import { request } from "node:https";'
    yield 'import { argv, env, exit, stdout } from "node:process";'
    yield ""
    yield from _functions(plan)
    yield f"const baseUrl = env.BASE_URL ?? {json.dumps(given.base_url)};"
    yield f"const key_id = env.KEY_ID ?? {json.dumps(given.key_id)};"
    for name, value in sample.fields.items():
        yield f"const {field_variable(name)} = {_value(value)};"
    yield f"const method = {json.dumps(sample.method)};"
    yield f"const path = {json.dumps(sample.path)}, authority = new URL(baseUrl).host;"
    begin = "let" if plan.carried else "const"
    yield f"{begin} body = Buffer.from({json.dumps(sample.body)}); // signed and sent byte by byte"
    yield "const now = Number(env.NOW ?? Math.floor(Date.now() / 1000));"
    yield f"const timestamp = {_TIMES[plan.timestamp_format]}, expires = String(now + {plan.expires_after});"
    yield 'const nonce = env.NONCE ?? randomBytes(16).toString("hex");'
    yield from (f"const {each.name} = {_made(each)};" for each in plan.made if each.kind == "encoded")
    yield f"let query = {json.dumps(sample.query) if plan.query is None else _text(plan.query)};"
    yield from (f"query += {_parameter(name, variable)};" for name, variable in plan.query_carried)
    yield f"let target = {_TARGET}, url = baseUrl + target;"
    yield from _members(plan)
    for name, digest, encoding in digests(plan):
        hashed = f'createHash("{digest}").update(body).digest()'
        yield f"const {name} = {_ENCODED[encoding].format(hashed)};"
    yield from (f"const {each.name} = {_made(each)};" for each in plan.made if each.kind != "encoded")
    yield from (f"const {each.name} = {taken.in_node(each, _text)};" for each in plan.taken)
    if plan.hashes_secret:
        secret = _KEYS[given.secret_encoding]
        yield f'const {SHARED} = argv.includes("--string") ? Buffer.from("{{secret}}") : {secret};'
    if plan.jose:
        yield f"const jose = {_ENCODED['base64url'].format(f'Buffer.from({_text(plan.jose)})')};"
    if plan.payload:
        yield f"const payload = {_ENCODED['base64url'].format(_bytes(plan.payload))};"
    yield ""
    yield f"const string = {_bytes(plan.string)};"
    yield from _sending(given)


def _functions(plan: Plan) -> Iterator[str]:
    used = "\n".join([*_members(plan), *(taken.in_node(each, _text) for each in plan.taken)])
    used += taken.put(plan.signature_at, "signature") if plan.signature_at else ""
    used += "quoted(" if plan.query_carried or plan.signature_parameter else ""
    found = taken.functions(used, node=True)
    yield from [found] if found else []


def _members(plan: Plan) -> Iterator[str]:
    """Give the lines that take query and body apart, and put into the body what goes there before signing."""
    if plan.takes_query:
        yield f"const parameters = {taken.QUERY_READ[1]};"
    if not plan.members:
        return
    yield f"const members = {taken.read(plan, node=True)};"
    for way, variable, number in plan.carried:
        yield f"{taken.put(way, f'Number({variable})' if number else variable)};"
    if plan.carried:
        yield f"body = {taken.written(plan, node=True)};"


def _sending(given: Given) -> Iterator[str]:
    plan, sample = given.plan, given.sample
    if given.answers is not None:
        yield ""
        yield in_node(given.answers).rstrip()
        yield ""
    yield 'if (argv.includes("--string")) {'
    yield "  stdout.write(string, () => exit());"
    yield "} else {"
    yield f"  const signature = {_ENCODED[plan.encoding].format(_raw(plan, given.secret_encoding))};"
    if plan.signature_parameter:
        yield f"  query += {_parameter(plan.signature_parameter, 'signature')};"
        yield f"  target = {_TARGET};"
        yield "  url = baseUrl + target;"
    if plan.signature_at:
        yield f"  {taken.put(plan.signature_at, 'signature')};"
    made = taken.written(plan, node=True) if plan.signature_at else "body"
    yield f"  const sent = {f'Buffer.from({_text(plan.sent)})' if plan.sent else made};"
    yield "  const headers = {"
    for name in sample.fields:
        yield f"    {json.dumps(name)}: {field_variable(name)},"
    for name, pieces in plan.headers:
        yield f"    {json.dumps(name)}: {_text(pieces)},"
    yield '    ...(sent.length ? { "content-length": sent.length } : {}),'
    yield "  };"
    yield "  const options = {"
    yield "    method, headers, ca: env.CA && readFileSync(env.CA), cert: readFileSync(env.CERT),"
    yield "    key: readFileSync(env.CERT_KEY),"
    yield "  };"
    yield "  const call = request(url, options, (answer) => {"
    yield "    const parts = [];"
    yield '    answer.on("data", (part) => parts.push(part));'
    yield '    answer.on("end", () => {'
    yield "      const content = Buffer.concat(parts);"
    if given.answers is not None:
        yield "      checkAnswer(answer.statusCode, answer.headers, content, headers);"
    yield "      stdout.write(content, () => exit(answer.statusCode >= 400 ? 1 : 0));"
    yield "    });"
    yield "  });"
    yield '  call.on("error", (error) => { console.error(error.message); exit(1); });'
    yield "  call.end(sent);"
    yield "}"


def _parameter(name: str, variable: str) -> str:
    """Give the expression of a parameter that is put behind the query."""
    return f'(query && "&") + {json.dumps(name + "=")} + quoted({variable})'


def _made(made: Made) -> str:
    return _KINDS[made.kind].replace("TEXT", f"({_text(made.of)})")


def _value(value: str) -> str:
    prefix, dollar, variable = value.partition("$")
    named = variable.strip("{}").partition(":")[0]
    return f"{json.dumps(prefix)} + env.{named}" if dollar else json.dumps(value)


def _text(pieces: Pieces) -> str:
    return " + ".join(piece.text if piece.variable else json.dumps(piece.text) for piece in pieces)


def _bytes(pieces: Pieces) -> str:
    """Give a Buffer: text around the body, which may hold any bytes."""
    lines: list[str] = []
    pending: list[str] = []
    for piece in pieces:
        if piece.variable and piece.text in (BODY, SHARED):
            lines += [f"Buffer.from({' + '.join(pending)})"] if pending else []
            pending = []
            lines.append(piece.text)
        else:
            pending.append(piece.text if piece.variable else json.dumps(piece.text))
            if piece.text.endswith("\n"):
                lines.append(f"Buffer.from({' + '.join(pending)})")
                pending = []
    lines += [f"Buffer.from({' + '.join(pending)})"] if pending else []
    return "Buffer.concat([\n  " + ",\n  ".join(lines) + ",\n])"


def _derived(plan: Plan, secret: str) -> str:
    """Give the expression of the key: the secret itself, or what is derived from it step by step."""
    if not plan.key_steps:
        return secret
    first, *steps = [_text((piece,)) for piece in plan.key_steps]
    listed, step = ", ".join(steps), 'createHmac("sha256", key).update(step).digest()'
    return f"[{listed}].reduce((key, step) => {step}, Buffer.concat([Buffer.from({first}), {secret}]))"


def _raw(plan: Plan, secret_encoding: str) -> str:
    algorithm = plan.algorithm
    digest = algorithm.rpartition("-")[2]
    if algorithm.startswith("digest-"):
        return f'createHash("{digest}").update(string).digest()'
    if algorithm.startswith("hmac-"):
        return f'createHmac("{digest}", {_derived(plan, _KEYS[secret_encoding])}).update(string).digest()'
    key = "readFileSync(env.PRIVATE_KEY)"
    if algorithm == "ed25519":
        return f"sign(null, string, {key})"
    if algorithm.startswith("ecdsa"):
        encoding = "der" if plan.der else "ieee-p1363"
        return f'sign("{digest}", string, {{ key: {key}, dsaEncoding: "{encoding}" }})'
    if algorithm.startswith("rsa-pss"):
        salt = "constants.RSA_PSS_SALTLEN_DIGEST"
        padding = f"padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: {salt}"
        return f'sign("{digest}", string, {{ key: {key}, {padding} }})'
    return f'sign("{digest}", string, {key})'
