"""`gateway verify --response`: an answer of the gate's with its keys, and whether it is one to this request."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from gateway.cli.messages import Message
from gateway.cli.wire import split_message
from gateway.core.message import Headers, Instant
from gateway.core.policy import SigningKey
from gateway.core.reasons import Denied
from gateway.core.secret import Secret
from gateway.policy import PolicyInvalid, load
from gateway.signing.algorithms import PublicVerifier
from gateway.signing.httpsig.answer_check import check_answer, read_answer
from gateway.signing.httpsig.message import Request, Response
from gateway.signing.httpsig.scheme import HttpMessageScheme
from gateway.signing.outward import SignedAnswers
from gateway.signing.own import OwnKey
from gateway.signing.scheme import Scheme
from gateway.signing.window import Window

_HINT = "name the key with --public-key or --secret"


def response_in(raw: bytes, message: Message) -> tuple[Response, bytes]:
    """Read an answer as it stands in a file, to the request that it answers."""
    bodiless = message.head.method == "HEAD" or raw.split(b" ", 2)[1:2] in ([b"204"], [b"304"])
    start, fields, body, trailers = split_message(raw, bodiless=bodiless)
    words = start.split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise click.UsageError("the answer does not begin with a status line such as `HTTP/1.1 200 OK`")
    headers = Headers([(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in fields])
    return Response(int(words[1]), headers, Request.of(message.head), trailers), body


def verify_answer(
    scheme: HttpMessageScheme, response: Response, body: bytes, keys: Callable[[str], Mapping[str, SigningKey]],
    window: Window, now: Instant,
) -> bool:  # fmt: skip
    """Tell whether the answer is signed as the scheme's `responses` say; `keys` gives those that may be of an id."""
    try:
        signed = read_answer(response, scheme.answers)
    except Denied as denied:
        click.secho(f"form       {denied.reason.code}: {denied.detail}", fg="red")
        return False
    click.echo(f"covered    {' '.join(each.identifier for each in signed.covered.components)}")
    click.echo(f"\nstring to sign, {len(signed.string)} bytes, no line feed at its end:")
    click.echo("\n".join(f"  | {line}" for line in signed.string.decode("ascii").split("\n")) + "\n")
    try:
        key = check_answer(signed, response, body, keys(signed.key_id), window, now)
    except Denied as denied:
        click.secho(f"signature  {denied.reason.code}: {denied.detail}", fg="red")
        return False
    click.echo(f"key        {key.id}, {key.algorithm}")
    click.secho("signature  right: the gate's answer to this request", fg="green")
    return True


def answer_keys(policy: Path, scheme: Scheme[Any], partner: str | None) -> dict[str, SigningKey]:
    """Give the keys that the policy has answers signed with by a scheme: the gate's, or secrets of its partners."""
    try:
        loaded = load(policy, os.environ).policy
    except PolicyInvalid as invalid:
        raise click.UsageError("\n".join([*map(str, invalid.problems), _HINT])) from None
    given = [loaded.answers, *(route.answers for route in loaded.routes)]
    signers = [each for each in given if isinstance(each, SignedAnswers) and each.scheme.name == scheme.name]
    found = {signer.key.id: _public(signer.key) for signer in signers if signer.key is not None}
    algorithms = {algorithm for signer in signers if signer.key is None for algorithm in signer.algorithms}
    for each in loaded.partners.values():
        if partner in (None, each.name):
            found |= {key.id: key for key in each.signing_keys.values() if key.algorithm in algorithms}
    if not found:
        raise click.UsageError(f"the policy has no answers signed by scheme {scheme.name}: {_HINT}")
    return found


def _public(key: OwnKey) -> SigningKey:
    material = key.secret if isinstance(key.material, Secret) else None
    verifier = PublicVerifier(key.algorithm, key.private.key.public_key()) if material is None else material
    return SigningKey(key.id, key.algorithm, verifier)
