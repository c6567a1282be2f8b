"""`gateway verify`: what a request's signature covers, the string it is over, and where it differs."""

import os
import sys
import time
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click

from gateway.cli.answers import answer_keys, response_in, verify_answer
from gateway.cli.messages import (
    Message,
    known_key,
    read_file,
    request_in,
    request_of,
    request_options,
    scheme_of,
    scheme_options,
)
from gateway.core.message import Instant
from gateway.core.policy import SigningKey
from gateway.core.reasons import Denied
from gateway.policy import PolicyInvalid, load
from gateway.policy.describe import duration as written
from gateway.policy.values import Unfit, duration, instant
from gateway.signing.diagnosis import Failed, explain
from gateway.signing.httpsig.scheme import HttpMessageScheme, PresentedMessage
from gateway.signing.jws_scheme import JwsScheme
from gateway.signing.parts import label
from gateway.signing.scheme import Presented, Scheme, as_answered, read_whole
from gateway.signing.sigv4 import PresentedSigV4
from gateway.signing.window import Window

MAX_AGE = 60.0
AROUND = 24
"""Bytes shown on each side of a difference."""

_ANY_TIME = Window(max_age=1e12, max_ahead=1e12)


@click.command()
@click.argument("policy", type=click.Path(exists=True, path_type=Path))
@click.argument("url", required=False)
@click.option("--request", "file", metavar="FILE", help="Request as it stands on the wire; `-` for standard input.")
@request_options
@scheme_options
@click.option("--key-id", help="What the key is called, where the request does not say.")
@click.option("--public-key", type=click.Path(dir_okay=False), help="PEM file of a public key or certificate.")
@click.option("--partner", metavar="NAME", help="Whose keys of the policy count; all partners' unless it is given.")
@click.option("--max-age", metavar="DURATION", default=written(MAX_AGE), show_default=True, help="As on the route.")
@click.option("--at", metavar="TIME", help="When the request came in; now unless it is given.")
@click.option("--response", metavar="FILE", help="Check the gate's answer to the request instead, as it came.")
@click.option("--signed", "signed_file", metavar="FILE", help="What the signer signed: the first difference is shown.")
def verify(  # noqa: PLR0913 - one parameter for each option
    *, policy: Path, url: str | None, file: str | None, method: str | None, headers: tuple[str, ...], data: str | None,
    scheme_name: str | None, key_id: str | None, public_key: str | None, secret: str | None, encoding: str,
    algorithm: str | None, partner: str | None, max_age: str, at: str | None, signed_file: str | None,
    response: str | None,
) -> None:  # fmt: skip
    """Check the signature of a request by a scheme of POLICY, and show the string to sign.

    The request stands in a file (--request), or is told as to curl: URL, -X, -H, -d. The key is named by --public-key
    or --secret; without them it is looked up among the keys of the policy's partners. With --response, the gate's
    answer to the request is checked in its place, by the keys that the policy has answers signed with. Exits with 1
    where the signature is not right.
    """
    if (url is None) == (file is None):
        raise click.UsageError("name the request: --request FILE, or a URL with -X, -H and -d")
    message = request_in(read_file(Path(file))) if file is not None else request_of(url or "", method, headers, data)
    scheme = scheme_of(policy, scheme_name)
    window, now = _window(max_age), _time(at)
    given = (public_key, secret, encoding, algorithm)
    if response is not None:
        answer, body = response_in(read_file(Path(response)), message)
        if isinstance(scheme, HttpMessageScheme):
            gates = partial(_gates, policy, scheme, given, partner)
            sys.exit(not verify_answer(scheme, answer, body, gates, window, now))
        message = Message(as_answered(scheme, message.head, answer.headers.fields), body)
    try:
        presented = read_whole(scheme, *message, lambda _: True)
        string = scheme.string_to_sign(message.head, message.body, presented)
    except Denied as denied:
        _told(False, "form", denied)
        sys.exit(1)
    named = presented.key_id or key_id
    if response is not None:
        keys = _gates(policy, scheme, given, partner, named)
    else:
        key = _given_key(scheme, named, *given)
        keys = _keys_of(policy, partner) if key is None else {key.id: key}
    _line("scheme", scheme.name)
    _line("covered", covered(scheme, presented))
    click.echo(f"\nstring to sign, {len(string)} bytes, no line feed at its end:")
    click.echo("\n".join(f"  | {_printable(line)}" for line in string.split(b"\n")) + "\n")
    right = _check(scheme, message, presented, keys, window, now)
    if signed_file is not None:
        right = _compare(string, read_file(Path(signed_file))) and right
    if not right:
        sys.exit(1)


def _check(
    scheme: Scheme[Any], message: Message, presented: Presented, keys: Mapping[str, SigningKey], window: Window,
    now: Instant,
) -> bool:  # fmt: skip
    """Tell step by step what is right; every step that can be is taken."""
    right = True
    created = getattr(presented, "created", None)
    if created is not None:
        try:
            window.check(created, now)
            _line("time", f"right: {abs(now - created):.0f} s {'ago' if created <= now else 'ahead'}")
        except Denied as denied:
            right = _told(False, "time", denied)
    try:
        admitted = scheme.admit(presented, keys, _ANY_TIME, now)
    except Denied as denied:
        return _told(False, "key", denied)
    _line("key", ", ".join(f"{key.id}, {key.algorithm}" for key in admitted))
    try:
        scheme.match(message.head, message.body, presented, admitted, window)
    except Denied as denied:
        words = explain(Failed(scheme, presented, admitted, window), *message, keys.values(), now)
        return _told(False, "signature", denied, words)
    click.secho("signature  right", fg="green")
    return right


def covered(scheme: Scheme[Any], presented: object) -> str:
    """Name what a signature covers."""
    if isinstance(presented, PresentedMessage):
        return " ".join(each.identifier for each in presented.covered.components)
    if isinstance(presented, PresentedSigV4):
        return ", ".join(["method", "path", "query", *(f"field {name}" for name in presented.names.split(";")), "body"])
    if isinstance(scheme, JwsScheme):
        target = ["method", "path"] if scheme.payload.signs_target else []
        return ", ".join(["JOSE header", *target, *(f"field {name}" for name in sorted(scheme.payload.fields)), "body"])
    parts: Iterable[Any] = getattr(scheme, "parts", ())
    return ", ".join(map(label, parts))


def _told(right: bool, what: str, denied: Denied, words: str = "") -> bool:
    detail = f"{denied.detail}; it {words}" if words else denied.detail
    click.secho(f"{what:<10} {denied.reason.code}: {detail}", fg="red")
    return right


def _line(what: str, said: str) -> None:
    click.echo(f"{what:<10} {said}")


def _printable(line: bytes) -> str:
    text = line.decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _compare(string: bytes, signed: bytes) -> bool:
    """Show where two strings to sign differ first."""
    if string == signed:
        click.secho("signed     the same bytes", fg="green")
        return True
    at = next((at for at, (one, other) in enumerate(zip(string, signed, strict=False)) if one != other), -1)
    at = min(len(string), len(signed)) if at < 0 else at
    line = string[:at].count(b"\n") + 1
    click.secho(f"signed     differs from byte {at} on, in line {line}:", fg="red")
    for who, text in (("expected", string), ("signed", signed)):
        rest = text[at : at + AROUND]
        shown = f"{_printable(text[max(0, at - AROUND) : at])}>>>{_printable(rest)}{'' if rest else '(it ends here)'}"
        click.echo(f"  {who:<9}{shown}")
    return False


def _given_key(
    scheme: Scheme[Any], key_id: str | None, public: str | None, secret: str | None, encoding: str,
    algorithm: str | None,
) -> SigningKey | None:  # fmt: skip
    if public is None and secret is None:
        return None
    if public is not None and secret is not None:
        raise click.UsageError("--public-key or --secret, one of them")
    return known_key(scheme, key_id or "given", public, secret, encoding, algorithm)


def _gates(
    policy: Path, scheme: Scheme[Any], given: tuple[str | None, str | None, str, str | None], partner: str | None,
    key_id: str | None,
) -> Mapping[str, SigningKey]:  # fmt: skip
    """Give the keys that the gate may have signed an answer with."""
    key = _given_key(scheme, key_id, *given)
    return answer_keys(policy, scheme, partner) if key is None else {key.id: key}


def _keys_of(policy: Path, partner: str | None) -> dict[str, SigningKey]:
    """Give the signing keys of the policy's partners; their ids are unique in a policy."""
    try:
        partners = load(policy, os.environ).policy.partners
    except PolicyInvalid as invalid:
        hint = "name the key with --public-key or --secret"
        raise click.UsageError("\n".join([*map(str, invalid.problems), hint])) from None
    if partner is not None and partner not in partners:
        raise click.UsageError(f"no partner {partner!r}: {', '.join(partners)}")
    named = [partners[partner]] if partner is not None else list(partners.values())
    return {key.id: key for each in named for key in each.signing_keys.values()}


def _window(text: str) -> Window:
    try:
        return Window(duration(text), 10.0)
    except Unfit as unfit:
        raise click.UsageError(f"--max-age: {unfit.message}") from None


def _time(text: str | None) -> Instant:
    if text is None:
        return Instant(time.time())
    try:
        return instant(text)
    except Unfit as unfit:
        raise click.UsageError(f"--at: {unfit.message} ({unfit.hint})") from None
