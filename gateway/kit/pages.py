"""The pages of a kit: what to call and how, and how a request is signed, with the exact string for the example."""

from collections.abc import Iterator

from gateway.controls.mutual_tls import MutualTls
from gateway.controls.signature import SignatureControl
from gateway.controls.token import TokenControl
from gateway.core.policy import Route
from gateway.kit.answer_checks import KEY_FILE, public_key
from gateway.kit.example import NONCE, SECRET, TOKEN, Example
from gateway.kit.facts import Facts, Signing, needs_certificate
from gateway.kit.shell_taken import needs_jq
from gateway.policy.describe import duration
from gateway.signing.outward import SignedAnswers
from gateway.signing.secret_algorithms import SECRET_ALGORITHMS


def overview(facts: Facts) -> str:
    """Give README.md."""
    return "\n".join(_overview(facts)) + "\n"


def _overview(facts: Facts) -> Iterator[str]:
    partner, signing = facts.partner, facts.signing
    yield f"# {facts.policy}: integration kit for {partner.name}\n"
    yield f"Base URL: {facts.base_url}\n"
    yield "Every request is checked by a gateway. What it refuses is answered with `application/problem+json`"
    yield "(RFC 9457): a stable `code` and a `request_id`. Quote the `request_id` when you ask: the operator's log has"
    yield "the diagnosis, which answers never hold.\n"
    yield "## What you can call\n"
    yield "| route | request | certificate | access token | signature | largest body |"
    yield "| --- | --- | --- | --- | --- | --- |"
    yield from (_row(route) for route in facts.routes)
    yield ""
    if needs_certificate(facts):
        yield "## Your client certificate\n"
        yield "`sh certificate-request.sh` makes a key and a certificate request. Send `client.csr`; `client.key` never"
        yield "leaves you. The gate recognises the certificate by what the policy names of it: leave the names as they"
        yield "are, and tell the operator before you change the key.\n"
    if signing is not None:
        yield "## Your signing key\n"
        keys = [key for key in partner.signing_keys.values() if key.algorithm in signing.scheme.algorithms]
        yield from (f"- key id `{key.id}`, {key.algorithm}{_ends(key.not_after)}" for key in keys)
        if not keys:
            yield f"You have none yet; it will be for {signing.algorithm}."
        yield ""
        if signing.algorithm in SECRET_ALGORITHMS:
            yield "It is a secret that you share with the operator, who sends it by another way than this folder."
            yield "Keep it in a file that only your service can read.\n"
        else:
            yield "`sh signing-key.sh` makes one. Send `signing.pub`; `signing.key` never leaves you.\n"
        yield "How to sign, with the exact string for an example: [signing.md](signing.md)."
    answers = [f"- {route.name}: {route.answers.described}" for route in facts.routes if route.answers is not None]
    if answers:
        yield "\n## Answers are signed\n"
        yield from answers
        yield "\nBefore you believe an answer by RFC 9421, check that its signature covers `@status`, `content-digest`"
        yield "and the method and URL of your request (`;req`, RFC 9421 2.4), and that `Content-Digest` is the body's."
        if facts.answers is not None:
            yield f"The samples in Python and JavaScript do so, by the gate's key in `{KEY_FILE}`."
        if signing is not None and isinstance(signing.route.answers, SignedAnswers):
            yield "\nAny answer, kept in a file with its request, is checked by\n"
            key = f"--public-key {KEY_FILE}" if public_key(signing.route) else "--secret file:YOUR-SECRET"
            yield "```console"
            yield f"$ gateway verify schemes.yaml --request request.http --response answer.http {key} \\"
            yield f"    --scheme {signing.route.answers.scheme.name}"
            yield "```"


def _row(route: Route) -> str:
    chain = route.chain
    certificate = "yes" if any(isinstance(each, MutualTls) for each in chain) else "no"
    token = next((each for each in chain if isinstance(each, TokenControl)), None)
    asked = "no"
    if token is not None:
        scopes = f", scopes `{' '.join(sorted(token.scopes))}`" if token.scopes else ""
        asked = f"from {token.issuer.issuer} for `{token.audience}`{scopes}"
    signature = next((each for each in chain if isinstance(each, SignatureControl)), None)
    signed = f"scheme `{signature.scheme.name}`" if signature is not None else "no"
    methods = ", ".join(sorted(route.match.methods))
    about = f"{route.name} | {methods} `{route.match.path}`"
    return f"| {about} | {certificate} | {asked} | {signed} | {route.body_limit} bytes |"


def _ends(not_after: float | None) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415 - for the rare key that ends

    return "" if not_after is None else f", until {datetime.fromtimestamp(not_after, UTC):%Y-%m-%d %H:%M} UTC"


def signing_page(signing: Signing, example: Example) -> str:
    """Give signing.md."""
    return "\n".join(_signing(signing, example)) + "\n"


def _signing(signing: Signing, example: Example) -> Iterator[str]:
    scheme, control = signing.scheme, signing.control
    yield f"# Signing requests: scheme {scheme.name}\n"
    yield f"- algorithm: {signing.algorithm}"
    yield f"- key id: `{signing.key_id}`"
    if scheme.dated:
        window = control.window
        yield (
            f"- the time that is signed may be {duration(window.max_age)} old and {duration(window.max_ahead)} ahead:"
            " keep your clock by NTP"
        )
    if signing.once:
        yield "- a signed request counts once: sign every attempt anew, with a new time and nonce"
    yield "- what is signed is what you send, byte by byte: sign the body's bytes, not an object"
    yield "\n## The example\n"
    yield f"At 2026-11-22T13:00:00Z (1795352400), with the nonce `{NONCE}`"
    yield f"and, where there is one, the token `{TOKEN}`, this string is signed, without a line feed at its end:\n"
    yield f"```text\n{example.string.decode('utf-8', 'backslashreplace')}\n```\n"
    yield "It stands in `sample/string-to-sign.txt`. Your program should give the same bytes for the same request.\n"
    if example.reproducible:
        yield f"With the secret `{SECRET}` (for this example only) the request is:\n"
    else:
        yield "Signed by a key that was made for the example and thrown away, the request is:\n"
    yield f"```http\n{example.request}\n```\n"
    yield "## Samples that run\n"
    yield "Each signs and sends one request; `--string` prints the string to sign instead.\n"
    yield "```console"
    kept = "SECRET_FILE=acme.secret" if signing.algorithm in SECRET_ALGORITHMS else "PRIVATE_KEY=signing.key"
    token = " TOKEN=eyJ..." if "authorization" in signing.sample.fields else ""
    yield f"$ export CERT=client.pem CERT_KEY=client.key CA=operator-ca.pem {kept}{token}"
    jq = ", jq" if needs_jq(signing.plan) else ""
    yield f"$ bash sample/sign.sh       # bash, OpenSSL, curl{jq}"
    yield "$ python3 sample/sign.py    # Python 3.9 or later"
    yield "$ node sample/sign.mjs      # node 18 or later"
    yield "```\n"
    if signing.plan.members == "json":
        yield "Numbers sign as they are written, so send amounts as text, or as your language writes them.\n"
    yield "`BASE_URL`, `KEY_ID`, `NOW` (Unix seconds) and `NONCE` replace what they are called after; `CA` may be left"
    yield "out where your system trusts the server. Is a request refused, compare strings:\n"
    yield "```console"
    yield "$ python3 sample/sign.py --string > mine.txt"
    yield "$ gateway verify schemes.yaml --request captured.http --signed mine.txt ..."
    yield "```"
