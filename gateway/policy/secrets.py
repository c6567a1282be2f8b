"""Signing secrets: from the environment or a file, never from the policy's text, and never in a message."""

import base64
import binascii
import re

from gateway.core.secret import Secret
from gateway.policy.environment import named_path, shown_path, variable
from gateway.policy.folder import ModeError, explained, read_bounded
from gateway.policy.nodes import Node, ScalarNode
from gateway.policy.reader import Reader
from gateway.policy.references import OTHERS

ENCODINGS = ("utf-8", "hex", "base64", "whsec")
"""How a secret's bytes are written where it is kept."""

WHSEC = b"whsec_"
"""Stands before the base64 of a secret of Standard Webhooks."""

MAX_SECRET_BYTES = 65_536

UNSAFE_FILE = "unsafe-file:"
"""Stands before a file that everybody may read, such as one under version control."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")


def read_secret(reader: Reader, node: Node | None, encoding: str, least: int) -> Secret | None:
    """Give the secret that `env:NAME` or `file:PATH` names, at least `least` bytes long."""
    if node is None:
        return None
    text = node.text if isinstance(node, ScalarNode) else ""
    if text.startswith("env:"):
        written = _from_environment(reader, node, text.removeprefix("env:"))
    elif text.startswith("file:") and text.isprintable() and text != "file:":
        written = _from_file(reader, node, text.removeprefix("file:"), OTHERS)
    elif text.startswith(UNSAFE_FILE) and text.isprintable() and text != UNSAFE_FILE:
        reader.warning(
            node, "whoever reads this file can sign as the partner", "for measurements with published secrets only"
        )
        written = _from_file(reader, node, text.removeprefix(UNSAFE_FILE), 0)
    else:
        hint = "expected `env:NAME` or `file:PATH`; if a secret stands here, it has leaked: make a new one"
        reader.error(node, "a secret does not stand in a policy", hint)
        return None
    value = _decoded(reader, node, written, encoding) if written is not None else None
    if value is None:
        return None
    if len(value) < least:
        hint = f"at least {least}: {_recipe(encoding, least)}; one that a vendor issued needs `allow_weak`"
        reader.error(node, f"the secret has {len(value)} bytes, too few", hint)
        return None
    return Secret(value)


def _from_environment(reader: Reader, node: Node, name: str) -> bytes | None:
    if not _VARIABLE.match(name):
        reader.error(
            node, "`env:` is not followed by the name of a variable", "expected one such as env:ACME_SIGNING_KEY"
        )
        return None
    value = variable(reader, node, name)
    return None if value is None else value.encode("utf-8", "surrogateescape")


def _from_file(reader: Reader, node: Node, name: str, refused_mode: int) -> bytes | None:
    path = named_path(reader, node, name)
    if path is None:
        return None
    try:
        data = read_bounded(path, MAX_SECRET_BYTES, refused_mode)
    except (OSError, ValueError) as error:
        message, hint = explained(error) if isinstance(error, OSError) else ("has no name that a file could have", "")
        if isinstance(error, ModeError):
            hint = f"{hint}, and consider the secret leaked"
        elif isinstance(error, FileNotFoundError):
            hint = "paths are relative to the file that names them"
        reader.error(node, f"secret file {shown_path(node, path)} {message}", hint)
        return None
    return data.removesuffix(b"\n").removesuffix(b"\r")


def _decoded(reader: Reader, node: Node, written: bytes, encoding: str) -> bytes | None:
    try:
        if encoding == "hex":
            return binascii.unhexlify(written)
        if encoding in {"base64", "whsec"}:
            # Without its prefix, a secret of Standard Webhooks is refused, as an underscore is in no base64.
            bare = written.removeprefix(WHSEC) if encoding == "base64" or written.startswith(WHSEC) else b"_"
            return base64.b64decode(written if encoding == "base64" else bare, validate=True)
    except (ValueError, binascii.Error):
        reader.error(node, f"the secret is not {encoding}", f"expected what the key's `encoding` says: {encoding}")
        return None
    return written


def _recipe(encoding: str, least: int) -> str:
    if encoding in {"base64", "whsec"}:
        return f"make one with `head -c {least} /dev/urandom | base64 -w0`"
    return f"make one with `openssl rand -hex {least}`"
