"""What `gateway sign` and `gateway verify` share: a request as curl would be told of it, a scheme, a key."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import click

from gateway.cli.wire import split_message
from gateway.core.message import RequestHead
from gateway.core.policy import SigningKey
from gateway.core.reasons import Denied
from gateway.core.syntax import read_head
from gateway.policy.nodes import Node
from gateway.policy.problem import PolicyInvalid, Problem
from gateway.policy.reader import Reader
from gateway.policy.references import private_key
from gateway.policy.scheme_files import load_schemes
from gateway.policy.secrets import ENCODINGS, read_secret
from gateway.policy.signing_keys import read_public_key
from gateway.policy.source import parse
from gateway.signing.algorithms import PUBLIC_KEY_ALGORITHMS, PrivateKey, PrivateSigner, PublicKey, PublicVerifier
from gateway.signing.own import OwnKey
from gateway.signing.scheme import Scheme

MAX_BODY = 67_108_864
"""Bytes."""

_FRAMING = (b"content-length", b"transfer-encoding")


class Message(NamedTuple):
    """A request, read as the gate reads it."""

    head: RequestHead
    body: bytes


def request_options[F: Callable[..., Any]](command: F) -> F:
    """Add the options that say what a request is, named as curl's."""
    for option in (
        click.option("-d", "--data", metavar="TEXT|@FILE", help="Body, byte by byte."),
        click.option("-H", "--header", "headers", multiple=True, metavar="NAME: VALUE", help="May be repeated."),
        click.option("-X", "--method", help="GET, or POST with a body, unless it is named."),
    ):
        command = option(command)
    return command


def scheme_options[F: Callable[..., Any]](command: F) -> F:
    """Add the options that say which scheme, and what the key is called."""
    for option in (
        click.option("--encoding", type=click.Choice(ENCODINGS), default="utf-8", help="How the secret is written."),
        click.option("--secret", metavar="env:NAME|file:PATH", help="Where the shared secret is kept."),
        click.option("--algorithm", metavar="NAME", help="Where the key fits more than one of the scheme's."),
        click.option("--scheme", "scheme_name", metavar="NAME", help="Where the policy has more than one."),
    ):
        command = option(command)
    return command


def request_of(url: str, method: str | None, headers: Sequence[str], data: str | None) -> Message:
    """Make the request that curl would send."""
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.netloc:
        raise click.UsageError(f"{url!r} is no URL such as https://api.example.com/v1/deposits")
    body = _body(data)
    lines = [("host", parts.netloc)]
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon:
            raise click.UsageError(f"{header!r} is no header such as 'content-type: application/json'")
        if name.strip().lower() == "host":
            lines[0] = ("host", value.strip())
        else:
            lines.append((name.strip(), value.strip()))
    if body and not any(name.lower() == "content-length" for name, _ in lines):
        lines.append(("content-length", str(len(body))))
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query or url.endswith("?") else "")
    return _read(method or ("POST" if body else "GET"), target, [(_latin(n), _latin(v)) for n, v in lines], body)


def request_in(raw: bytes) -> Message:
    """Read a request as it stands in a file: lines may end with LF alone, and Content-Length may be missing."""
    start, fields, body, trailers = split_message(raw)
    words = start.split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/"):
        raise click.UsageError("it does not begin with a request line such as `POST /v1/deposits HTTP/1.1`")
    if body and not any(name.lower() in _FRAMING for name, _ in fields):
        fields.append((b"content-length", str(len(body)).encode()))
    head, _ = _read(words[0].decode("latin-1"), words[1].decode("latin-1"), fields, body)
    return Message(head._replace(trailers=trailers), body)


def _read(method: str, target: str, fields: list[tuple[bytes, bytes]], body: bytes) -> Message:
    try:
        head = read_head(method=_latin(method), target=_latin(target), version="HTTP/1.1", fields=fields)
    except Denied as denied:
        raise click.ClickException(f"the gate refuses such a request: {denied.reason.code}: {denied.detail}") from None
    return Message(head, body)


def _latin(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise click.UsageError(f"{text!r} has characters that no header can carry") from None


def _body(data: str | None) -> bytes:
    if data is None:
        return b""
    if not data.startswith("@"):
        return data.encode("utf-8", "surrogateescape")
    return read_file(Path(data[1:]))


def read_file(path: Path) -> bytes:
    """Read a file, or standard input for `-`."""
    try:
        with click.open_file(str(path), "rb") as file:
            data = cast("bytes", file.read(MAX_BODY + 1))
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror}") from None
    if len(data) > MAX_BODY:
        raise click.UsageError(f"{path}: more than {MAX_BODY} bytes")
    return data


def scheme_of(policy: Path, name: str | None) -> Scheme[Any]:
    """Give the scheme of that name, or the only one there is."""
    try:
        schemes = load_schemes(policy, os.environ)
    except PolicyInvalid as invalid:
        raise click.UsageError("\n".join(map(str, invalid.problems))) from None
    if name is None and len(schemes) == 1:
        return next(iter(schemes.values()))
    if name not in schemes:
        listed = ", ".join(schemes) or "none"
        wrong = "several schemes: name one with --scheme" if name is None else f"no scheme {name!r}"
        raise click.UsageError(f"{policy} has {wrong if schemes else 'no scheme'} ({listed})")
    return schemes[name]


def own_key(
    scheme: Scheme[Any], key_id: str, private: str | None, secret: str | None, encoding: str, algorithm: str | None
) -> OwnKey:
    """Give the key to sign with: a private key in a file, or a secret that is kept somewhere."""
    if (private is None) == (secret is None):
        raise click.UsageError("say what to sign with: --private-key FILE or --secret env:NAME, one of them")
    if private is not None:
        key = cast("PrivateKey", _read_node(private, private_key))
        chosen = _algorithm(scheme, algorithm, lambda each: PrivateSigner(each, key))
        return OwnKey(key_id, chosen, PrivateSigner(chosen, key))
    kept = _read_node(secret or "", lambda reader, node: read_secret(reader, node, encoding, 1))
    return OwnKey(key_id, _algorithm(scheme, algorithm, None), kept)


def known_key(
    scheme: Scheme[Any], key_id: str, public: str | None, secret: str | None, encoding: str, algorithm: str | None
) -> SigningKey:
    """Give the key to verify with: a public key in a file, or a secret that is kept somewhere."""
    if public is not None:
        key = cast("PublicKey", _read_node(public, read_public_key))
        chosen = _algorithm(scheme, algorithm, lambda each: PublicVerifier(each, key))
        return SigningKey(key_id, chosen, PublicVerifier(chosen, key))
    kept = _read_node(secret or "", lambda reader, node: read_secret(reader, node, encoding, 1))
    return SigningKey(key_id, _algorithm(scheme, algorithm, None), kept)


def _algorithm(scheme: Scheme[Any], named: str | None, fits: Callable[[str], object] | None) -> str:
    """Give the one algorithm of the scheme that the key is for; `fits` raises ValueError where it is not."""

    def may(algorithm: str) -> bool:
        if fits is None:
            return algorithm not in PUBLIC_KEY_ALGORITHMS
        try:
            fits(algorithm)
        except ValueError:
            return False
        return True

    found = sorted(each for each in scheme.algorithms if may(each))
    if named is not None and named not in found:
        raise click.UsageError(f"the key is not for {named}; scheme {scheme.name} takes {_listed(scheme.algorithms)}")
    if not found:
        raise click.UsageError(f"the key fits no algorithm of scheme {scheme.name}: {_listed(scheme.algorithms)}")
    if named is None and len(found) > 1:
        raise click.UsageError(f"the key fits {_listed(found)}: choose one with --algorithm")
    return named or found[0]


def _listed(names: Any) -> str:  # noqa: ANN401 - whatever has names
    return ", ".join(sorted(names))


def _read_node[T](text: str, read: Callable[[Reader, Node], T | None]) -> T:
    """Have a policy's own reader read a value of the command line; paths are relative to the working directory."""
    reader = Reader(cast("Mapping[str, str]", os.environ), None)
    node, problems = parse(Path("command-line"), json.dumps(text).encode())
    found = None if node is None else read(reader, node)
    if found is None:
        raise click.UsageError("; ".join(_said(each) for each in (*problems, *reader.problems)))
    return found


def _said(problem: Problem) -> str:
    return f"{problem.message} ({problem.hint})" if problem.hint else problem.message
