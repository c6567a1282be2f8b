"""The sample for a shell: bash, OpenSSL and curl, and jq where something is taken apart."""

import shlex
from collections.abc import Iterator

from gateway.kit import shell_taken
from gateway.kit.plan import BODY, SCALAR_OCTETS, SHARED, Given, Made, Pieces, Plan, Sample, digests, field_variable

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
    "amz": '$(date -u -d "@$now" +%Y%m%dT%H%M%SZ 2>/dev/null || date -u -r "$now" +%Y%m%dT%H%M%SZ)',
}
_TARGET = "target=$path${query:+?$query} url=$base_url$path${query:+?$query}"
_KINDS = {
    "base64": "$(printf '%s' TEXT | openssl base64 -A)",
    "sha256": f"$(printf '%s' TEXT | openssl dgst -sha256 -binary | {_ENCODED['hex']})",
    "encoded": "$(encoded TEXT '*-._')",
    "path-again": "$(encoded TEXT -._~/)",
    "sorted-query": (
        "$(printf '%s' TEXT | tr '&' '\\n' | awk -F= '{print $1 \"=\" $2}' | LC_ALL=C sort -t= -k1,1 -k2"
        " | tr '\\n' '&' | sed 's/&$//')"
    ),
    "day": "$(printf '%s' TEXT | cut -c1-8)",
    "length": "$(wc -c < \"$work/body\" | tr -d ' ')",
}
_FUNCTION = """\
encoded() { # percent-encodes all of $1 but letters, digits, and what stands in $2
  local LC_ALL=C text=$1 keep=$2 i char
  for ((i = 0; i < ${#text}; i++)); do
    char=${text:i:1}
    if [[ $char == [A-Za-z0-9] || $keep == *"$char"* ]]; then printf '%s' "$char"
    else printf '%%%02X' "$(($(printf '%d' "'$char") & 255))"; fi
  done
}
"""
_HEX = _ENCODED["hex"]
_SECRETS = {
    "utf-8": 'printf \'%s\' "$(cat "$SECRET_FILE")"',
    "hex": "printf \"$(tr -d ' \\n' < \"$SECRET_FILE\" | sed 's/../\\\\x&/g')\"",
    "base64": 'openssl base64 -d -A -in "$SECRET_FILE"',
    "whsec": "sed 's/^whsec_//' \"$SECRET_FILE\" | openssl base64 -d -A",
}
"""What prints the secret's bytes, by how its file writes it."""


def write(given: Given) -> str:
    """Give the sample's text."""
    return "\n".join(_lines(given)) + "\n"


def _lines(given: Given) -> Iterator[str]:
    plan, sample = given.plan, given.sample
    yield from _beginning(given)
    yield f"base_url=${{BASE_URL:-{given.base_url}}}"
    yield f"key_id=${{KEY_ID:-{given.key_id}}}"
    if plan.shared:
        yield ': "${SECRET_FILE:?file that holds the secret you share with the operator}"'
    else:
        yield ': "${PRIVATE_KEY:?PEM file of your private signing key}"'
    yield ': "${CERT:?your client certificate}" "${CERT_KEY:?its private key}"'
    for name, value in sample.fields.items():
        yield f"{field_variable(name)}={_value(value)}"
    yield f"method={sample.method} path={shlex.quote(sample.path)} authority=${{base_url#*://}}"
    yield "now=${NOW:-$(date +%s)}"
    yield f"timestamp={_TIMES[plan.timestamp_format]}"
    yield f"expires=$((now + {plan.expires_after}))"
    yield "nonce=${NONCE:-$(openssl rand -hex 16)}"
    yield "work=$(mktemp -d)"
    yield "trap 'rm -rf \"$work\"' EXIT"
    yield from (f"{each.name}={_made(each)}" for each in plan.made if each.kind == "encoded")
    yield f"query={shlex.quote(sample.query) if plan.query is None else _joined(plan.query)}"
    yield from shell_taken.begun(plan, sample)
    yield from shell_taken.query(plan)
    yield _TARGET
    yield f"printf '%s' {shlex.quote(sample.body)} > \"$work/body\"  # signed and sent byte by byte"
    yield from shell_taken.body(plan)
    for name, digest, encoding in digests(plan):
        yield f'{name}=$(openssl dgst -{digest} -binary "$work/body" | {_ENCODED[encoding]})'
    yield from (f"{each.name}={_made(each)}" for each in plan.made if each.kind != "encoded")
    yield from (shell_taken.in_shell(each, _joined) for each in plan.taken)
    if plan.hashes_secret:
        secret = _SECRETS[given.secret_encoding]
        yield f'if [ "${{1:-}}" = --string ]; then printf \'{{secret}}\'; else {secret}; fi > "$work/secret"'
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
    yield from _sending(plan, sample)


def _beginning(given: Given) -> Iterator[str]:
    plan = given.plan
    jq = shell_taken.needs_jq(plan)
    yield "#!/usr/bin/env bash"
    yield from (f"# {line}" for line in given.about.splitlines())
    yield f"# `--string` prints the string to sign instead. Needs bash, OpenSSL 3{',' if jq else ' and'} curl" + (
        " and jq." if jq else "."
    )
    yield "set -euo pipefail"
    yield ""
    if plan.query_carried or plan.signature_parameter or {"encoded", "path-again"} & {each.kind for each in plan.made}:
        yield _FUNCTION


def _sending(plan: Plan, sample: Sample) -> Iterator[str]:
    if plan.signature_parameter:
        yield from shell_taken.parameter(plan, plan.signature_parameter, "signature")
        yield _TARGET
    yield from shell_taken.signature(plan)
    if plan.sent:
        yield f"printf '%s' {_joined(plan.sent)} > \"$work/body\""
    yield ""
    yield "curl --silent --show-error --path-as-is --globoff \\"
    yield '  ${CA:+--cacert "$CA"} --cert "$CERT" --key "$CERT_KEY" \\'
    headers = [*((name, f'"${field_variable(name)}"') for name in sample.fields)]
    headers += [(name, _joined(pieces)) for name, pieces in plan.headers]
    method = "--head" if sample.method == "HEAD" else '-X "$method"'
    yield " \\\n".join([f'  {method} "$url"{_data(sample)}', *(f"  -H '{name}: '{value}" for name, value in headers)])


def _made(made: Made) -> str:
    return _KINDS[made.kind].replace("TEXT", _joined(made.of))


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
    """Give the commands that print the string; body and secret are files, since they may hold any bytes."""
    pending: list[str] = []
    for piece in pieces:
        if piece.variable and piece.text in (BODY, SHARED):
            if pending:
                yield f"printf '%s' {''.join(pending)}"
            pending = []
            yield f'cat "$work/{"body" if piece.text == BODY else "secret"}"'
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
    if algorithm.startswith("digest-"):
        yield f"openssl dgst -{digest} -binary {string} > {into}"
    elif algorithm.startswith("hmac-"):
        yield "# The secret stands on openssl's command line for a moment: other users of this machine could see it."
        yield f"secret_hex=$({_SECRETS[secret_encoding]} | {_HEX})"
        if plan.key_steps:
            first, *steps = [_joined((piece,)) for piece in plan.key_steps]
            yield f"secret_hex=$(printf '%s' {first} | {_HEX})$secret_hex"
            yield f"for step in {' '.join(steps)}; do"
            mac = 'openssl dgst -sha256 -mac HMAC -macopt "hexkey:$secret_hex" -binary'
            yield f"  secret_hex=$(printf '%s' \"$step\" | {mac} | {_HEX})"
            yield "done"
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
