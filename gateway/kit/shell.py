"""The sample for a shell: bash, OpenSSL and curl."""

import shlex
from collections.abc import Iterator

from gateway.kit.plan import BODY, SCALAR_OCTETS, Given, Pieces, Plan, Sample, digests, field_variable

_ENCODED = {
    "hex": "od -An -v -tx1 | tr -d ' \\n'",
    "hex-upper": "od -An -v -tx1 | tr -d ' \\n' | tr a-f A-F",
    "base64": "openssl base64 -A",
    "base64url": "openssl base64 -A | tr '+/' '-_' | tr -d '='",
}
_TIMES = {
    "unix": '"$now"',
    "unix-ms": '"${now}000"',
    "rfc3339": '$(date -u -d "@$now" +%Y-%m-%dT%H:%M:%SZ 2>/dev/null || date -u -r "$now" +%Y-%m-%dT%H:%M:%SZ)',
}
_KEYS = {
    "utf-8": "printf '%s' \"$(cat \"$SECRET_FILE\")\" | od -An -v -tx1 | tr -d ' \\n'",
    "hex": "tr -d ' \\n' < \"$SECRET_FILE\"",
    "base64": "openssl base64 -d -A -in \"$SECRET_FILE\" | od -An -v -tx1 | tr -d ' \\n'",
}
"""The secret as hex, by how its file writes it."""


def write(given: Given) -> str:
    """Give the sample's text."""
    return "\n".join(_lines(given)) + "\n"


def _lines(given: Given) -> Iterator[str]:
    plan, sample = given.plan, given.sample
    shared = plan.shared
    yield "#!/usr/bin/env bash"
    yield from (f"# {line}" for line in given.about.splitlines())
    yield "# `--string` prints the string to sign instead. Needs bash, OpenSSL 3 and curl."
    yield "set -euo pipefail"
    yield ""
    yield f"base_url=${{BASE_URL:-{given.base_url}}}"
    yield f"key_id=${{KEY_ID:-{given.key_id}}}"
    if shared:
        yield ': "${SECRET_FILE:?file that holds the secret you share with the operator}"'
    else:
        yield ': "${PRIVATE_KEY:?PEM file of your private signing key}"'
    yield ': "${CERT:?your client certificate}" "${CERT_KEY:?its private key}"'
    for name, value in sample.fields.items():
        yield f"{field_variable(name)}={_value(value)}"
    yield f"method={sample.method}"
    yield f"path={shlex.quote(sample.path)} target={shlex.quote(sample.path)}"
    yield "url=$base_url$target authority=${base_url#*://}"
    yield "now=${NOW:-$(date +%s)}"
    yield f"timestamp={_TIMES[plan.timestamp_format]}"
    yield f"expires=$((now + {plan.expires_after}))"
    yield "nonce=${NONCE:-$(openssl rand -hex 16)}"
    yield "work=$(mktemp -d)"
    yield "trap 'rm -rf \"$work\"' EXIT"
    yield f"printf '%s' {shlex.quote(sample.body)} > \"$work/body\"  # signed and sent byte by byte"
    for name, digest, encoding in digests(plan):
        yield f'{name}=$(openssl dgst -{digest} -binary "$work/body" | {_ENCODED[encoding]})'
    if plan.jose:
        yield f"jose=$(printf '%s' {_joined(plan.jose)} | {_ENCODED['base64url']})"
    if plan.payload:
        yield f"payload=$({{ {'; '.join(_string(plan.payload))}; }} | {_ENCODED['base64url']})"
    yield ""
    yield "{"
    yield from (f"  {line}" for line in _string(plan.string))
    yield '} > "$work/string"'
    yield 'if [ "${1:-}" = --string ]; then cat "$work/string"; exit; fi'
    yield ""
    yield from _signature(plan, given.secret_encoding)
    yield f'signature=$(< "$work/signature" {_ENCODED[plan.encoding]})'
    if plan.sent:
        yield f"printf '%s' {_joined(plan.sent)} > \"$work/body\""
    yield ""
    yield 'curl --silent --show-error --path-as-is ${CA:+--cacert "$CA"} --cert "$CERT" --key "$CERT_KEY" \\'
    yield f'  -X "$method" "$url"{_data(sample)} \\'
    headers = [*((name, f'"${field_variable(name)}"') for name in sample.fields)]
    headers += [(name, _joined(pieces)) for name, pieces in plan.headers]
    yield " \\\n".join(f"  -H '{name}: '{value}" for name, value in headers)


def _data(sample: Sample) -> str:
    return ' --data-binary "@$work/body"' if sample.body else ""


def _value(value: str) -> str:
    return f'"{value}"' if value.startswith("$") or "${" in value else shlex.quote(value)


def _quoted(literal: str) -> str:
    if "\n" in literal and not set("'\\") & set(literal):
        return "$'" + literal.replace("\n", "\\n") + "'"
    return shlex.quote(literal)


def _joined(pieces: Pieces) -> str:
    return "".join(f'"${piece.text}"' if piece.variable else _quoted(piece.text) for piece in pieces)


def _string(pieces: Pieces) -> Iterator[str]:
    """Give the commands that print the string; the body is a file, since it may hold any bytes."""
    pending: list[str] = []
    for piece in pieces:
        if piece.variable and piece.text == BODY:
            if pending:
                yield f"printf '%s' {''.join(pending)}"
            pending = []
            yield 'cat "$work/body"'
        else:
            pending.append(_joined((piece,)))
            if piece.text.endswith("\n"):
                yield f"printf '%s' {''.join(pending)}"
                pending = []
    if pending:
        yield f"printf '%s' {''.join(pending)}"


def _signature(plan: Plan, secret_encoding: str) -> Iterator[str]:
    algorithm, string, into = plan.algorithm, '"$work/string"', '"$work/signature"'
    digest = algorithm.rpartition("-")[2]
    if algorithm.startswith("hmac-"):
        yield "# The secret stands on openssl's command line for a moment: other users of this machine could see it."
        yield f"secret_hex=$({_KEYS[secret_encoding]})"
        yield f'openssl dgst -{digest} -mac HMAC -macopt "hexkey:$secret_hex" -binary {string} > {into}'
    elif algorithm == "ed25519":
        yield f'openssl pkeyutl -sign -inkey "$PRIVATE_KEY" -rawin -in {string} > {into}'
    elif algorithm.startswith("ecdsa"):
        octets = 2 * SCALAR_OCTETS[algorithm.split("-")[1]]
        yield f'openssl dgst -{digest} -sign "$PRIVATE_KEY" {string} > {into}'
        if not plan.der:
            yield f"# r and s, {octets // 2} bytes each, in place of OpenSSL's DER"
            yield f"pad={octets}"
            yield (
                f"numbers=$(openssl asn1parse -inform DER -in {into} | sed -n 's/.*INTEGER *://p' |\n"
                "  while read -r number; do printf '%*s' \"$pad\" \"$number\" | tr ' ' 0; done)"
            )
            yield f"printf \"$(printf '%s' \"$numbers\" | sed 's/../\\\\x&/g')\" > {into}"
    elif algorithm.startswith("rsa-pss"):
        options = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest"
        yield f'openssl dgst -{digest} {options} -sign "$PRIVATE_KEY" {string} > {into}'
    else:
        yield f'openssl dgst -{digest} -sign "$PRIVATE_KEY" {string} > {into}'
