"""`gateway sign`: a signed request, as a curl command, as it stands on the wire, or sent."""

import secrets
import shlex
import ssl
import sys
import time
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from gateway.cli.messages import Message, own_key, request_of, request_options, scheme_of, scheme_options
from gateway.core.message import Instant
from gateway.core.reasons import Denied
from gateway.policy.values import Unfit, instant
from gateway.signing.own import OwnKey, Signed
from gateway.signing.scheme import Scheme, read_whole

SHOWN = ("curl", "http", "string")

_FILE = click.Path(dir_okay=False)


@click.command()
@click.argument("policy", type=click.Path(exists=True, path_type=Path))
@click.argument("url")
@request_options
@scheme_options
@click.option("--key-id", required=True, help="As the policy calls the key.")
@click.option("--private-key", type=_FILE, help="PEM file of the private key to sign with.")
@click.option("--nonce", help="A random one unless it is given.")
@click.option("--created", metavar="TIME", help="When it is signed, such as 2026-11-22T13:00:00Z; now unless given.")
@click.option("--print", "shown", type=click.Choice(SHOWN), help="curl command, request, or string to sign.")
@click.option("--send", is_flag=True, help="Send the request and print the answer; exits with 1 from status 400.")
@click.option("--cacert", type=_FILE, help="CAs that the server's certificate must lead to.")
@click.option("--cert", type=_FILE, help="Client certificate.")
@click.option("--key", "cert_key", type=_FILE, help="Its key.")
def sign(  # noqa: PLR0913 - one parameter for each option
    *, policy: Path, url: str, method: str | None, headers: tuple[str, ...], data: str | None, scheme_name: str | None,
    key_id: str, private_key: str | None, secret: str | None, encoding: str, algorithm: str | None, nonce: str | None,
    created: str | None, shown: str | None, send: bool, cacert: str | None, cert: str | None, cert_key: str | None,
) -> None:  # fmt: skip
    """Sign a request to URL by a scheme of POLICY, and print a curl command that sends it.

    Of POLICY only the section `schemes` is read. The body goes out as it is signed, byte by byte. Secrets are named by
    env: or file:, never written on the command line.
    """
    scheme = scheme_of(policy, scheme_name)
    key = own_key(scheme, key_id, private_key, secret, encoding, algorithm)
    message = request_of(url, method, headers, data)
    now = Instant(time.time()) if created is None else _instant(created)
    try:
        made = scheme.sign(message.head, message.body, key=key, now=now, nonce=nonce or secrets.token_hex(16))
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    signed = Message(*made.applied(*message))
    if shown is not None or not send:
        options = [(f"--{name}", value) for name, value in (("cacert", cacert), ("cert", cert), ("key", cert_key))]
        curl_options = [word for name, value in options if value is not None for word in (name, value)]
        click.echo(_shown(shown or "curl", url, data, signed, made, scheme, key, curl_options))
    if send and not _send(url, signed, _context(cacert, cert, cert_key)):
        sys.exit(1)


def _instant(text: str) -> Instant:
    try:
        return instant(text)
    except Unfit as unfit:
        raise click.UsageError(f"{unfit.message} ({unfit.hint})") from None


def _shown(  # noqa: PLR0913, PLR0917 - what may be shown
    what: str, url: str, data: str | None, signed: Message, made: Signed, scheme: Scheme[Any], key: OwnKey,
    options: list[str],
) -> str:  # fmt: skip
    if what == "string":
        return string_to_sign(scheme, signed, key.id)
    return raw_request(signed) if what == "http" else curl_command(url, data, signed, made, options)


def string_to_sign(scheme: Scheme[Any], signed: Message, key_id: str) -> str:
    """Give what is signed of a request that is signed."""
    try:
        presented = read_whole(scheme, *signed, lambda named: named == key_id)
        return scheme.string_to_sign(signed.head, signed.body, presented).decode("utf-8", "backslashreplace")
    except Denied as denied:  # pragma: no cover - `Scheme.sign` has read it already
        raise click.ClickException(denied.detail) from None


def raw_request(signed: Message) -> str:
    """Give the request as it stands on the wire, but for the CR at the ends of its lines."""
    head = signed.head
    lines = [f"{head.method} {head.target} HTTP/1.1", *(f"{name}: {value}" for name, value in head.headers.fields)]
    return "\n".join([*lines, "", signed.body.decode("utf-8", "backslashreplace")])


def curl_command(url: str, data: str | None, signed: Message, made: Signed, options: list[str]) -> str:
    """Give a command for a POSIX shell that sends the request as it was signed."""
    head, parts = signed.head, urlsplit(url)
    words = ["curl", *options, "--path-as-is", "-X", head.method]
    lines = [" ".join(map(shlex.quote, words))]
    for name, value in head.headers.fields:
        if name != "content-length" and not (name == "host" and value == parts.netloc):
            lines.append(f"-H {shlex.quote(f'{name}: {value}' if value else f'{name};')}")
    if signed.body:
        if "content-type" not in head.headers:
            lines.append("-H content-type:")  # else curl adds one of its own
        given = data if data is not None and data.startswith("@") and made.body is None else None
        if given is None:
            try:
                given = signed.body.decode("utf-8")
            except UnicodeDecodeError:
                raise click.ClickException("a body that is not text is given as -d @FILE") from None
            if given.startswith("@") or "\0" in given:
                raise click.ClickException("a body that begins with @, or holds NUL, is given as -d @FILE")
        lines.append(f"--data-binary {shlex.quote(given)}")
    lines.append(shlex.quote(f"{parts.scheme}://{parts.netloc}{head.target}"))
    return " \\\n  ".join(lines)


def _context(cacert: str | None, cert: str | None, key: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=cacert)
        if cert is not None:
            context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise click.UsageError(f"certificates: {error}") from None
    return context


def _send(url: str, signed: Message, context: ssl.SSLContext) -> bool:
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection = (
        HTTPSConnection(host, parts.port, timeout=60, context=context)
        if parts.scheme == "https"
        else HTTPConnection(host, parts.port, timeout=60)
    )
    try:
        connection.putrequest(signed.head.method, signed.head.target, skip_host=True, skip_accept_encoding=True)
        for name, value in signed.head.headers.fields:
            connection.putheader(name, value.encode("latin-1"))
        connection.endheaders(signed.body or None)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, HTTPException) as error:
        raise click.ClickException(f"{parts.netloc}: {error}") from None
    finally:
        connection.close()
    lines = [f"HTTP/1.1 {answer.status} {answer.reason}", *(f"{name}: {value}" for name, value in answer.getheaders())]
    click.echo("\n".join([*lines, "", body.decode("utf-8", "backslashreplace")]))
    return answer.status < 400
