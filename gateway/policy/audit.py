"""The section `audit`: how the log is kept, and how it is published as a transparency log."""

import base64
import binascii
import re
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from gateway.core.publication import AuditSettings, DigestOf, Digests, Retention, Witness
from gateway.policy.environment import named_path
from gateway.policy.nodes import Node
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader
from gateway.policy.references import OTHERS, named_file, read_named
from gateway.policy.secrets import read_secret
from gateway.policy.values import Unfit, duration, field_name, is_loopback, url

MAX_KEY_BYTES = 4_096

LEAST_SECRET = 32
"""Bytes: whoever can guess the secret can try values out."""
MOST_DIGESTS = 8

LEAST_INTERVAL, MOST_INTERVAL = 1.0, 3_600.0
"""Seconds: each checkpoint brings some files to the disk; and until the next one, what is new is not bound by any."""

_SETTINGS = (
    "origin", "key", "previous_key", "interval", "durability", "copies", "witnesses", "retention", "digests",
)  # fmt: skip
_ORIGIN = re.compile(r"[\x21-\x2a\x2c-\x7e]{1,200}\Z")  # C2SP signed-note: no spaces, no `+`
_PRIVATE = b"PRIVATE+KEY+"


def read_audit(reader: Reader, node: Node | None) -> AuditSettings:
    """Read it; what it does not say is as `AuditSettings` has it."""
    default = AuditSettings()
    fields = reader.fields(node, optional=_SETTINGS) or {}
    if "previous_key" in fields and "key" not in fields:
        reader.error(fields["previous_key"], "a previous key without a new one", "name the new one with `key`")
    return AuditSettings(
        origin=reader.value(fields.get("origin"), _origin),
        key=_key(reader, fields.get("key")),
        previous_key=_key(reader, fields.get("previous_key")),
        interval=reader.value_or(fields.get("interval"), _interval, default.interval),
        durable=reader.choice(fields.get("durability"), ("os", "fsync"), "durability") == "fsync",
        copies=_copies(reader, fields.get("copies")),
        witnesses=_witnesses(reader, fields.get("witnesses")),
        retention=_retention(reader, fields.get("retention")),
        digests=_digests(reader, fields.get("digests")),
    )


def _origin(text: str) -> str:
    if not _ORIGIN.match(text):
        raise Unfit(
            f"{quoted(text)} cannot name a log", "expected a URL without its scheme, such as audit.example.com/psp"
        )
    return text


def _interval(text: str) -> float:
    seconds = duration(text)
    if not LEAST_INTERVAL <= seconds <= MOST_INTERVAL:
        raise Unfit(f"{quoted(text)} does not fit", "expected from 1s to 1h")
    return seconds


def _key(reader: Reader, node: Node | None) -> Path | None:
    path = named_file(reader, node)
    if node is None or path is None:
        return None
    data = read_named(reader, node, path, MAX_KEY_BYTES, OTHERS)
    if data is not None and not data.startswith(_PRIVATE):
        reader.error(node, "the file holds no key for checkpoints", "make one with `gateway audit key --new FILE`")
        return None
    return path


def _copies(reader: Reader, node: Node | None) -> tuple[str, ...]:
    """Read where checkpoints go. A file is not watched: each checkpoint changes it."""
    found: list[str] = []
    for item in (reader.items(node, "places such as stdout, syslog or file:PATH") or ()) if node is not None else ():
        text = reader.text(item, "`stdout`, `syslog` or `file:PATH`")
        if text in ("stdout", "syslog"):
            found.append(text)
        elif text is not None and text.startswith("file:") and text != "file:":
            path = named_path(reader, item, text.removeprefix("file:"), watched=False)
            if path is not None:
                found.append(f"file:{path}")
        elif text is not None:
            reader.error(item, f"{quoted(text)} is no place for copies", "expected `stdout`, `syslog` or `file:PATH`")
    return tuple(found)


def _witnesses(reader: Reader, node: Node | None) -> tuple[Witness, ...]:
    found: list[Witness] = []
    for item in (reader.items(node, "witnesses") or ()) if node is not None else ():
        fields = reader.fields(item, required=("url", "key")) or {}
        address = reader.value(fields.get("url"), _witness_url)
        key = reader.value(fields.get("key"), _witness_key)
        if address is not None and key is not None:
            found.append(Witness(address.rstrip("/"), key))
    return tuple(found)


def _retention(reader: Reader, node: Node | None) -> Retention | None:
    fields = reader.fields(node, optional=("at_hand", "keep"))
    if node is None or fields is None:
        return None
    asked = Retention()
    read = Retention(
        at_hand=reader.value_or(fields.get("at_hand"), duration, asked.at_hand),
        keep=reader.value_or(fields.get("keep"), duration, asked.keep),
    )
    if read.at_hand > read.keep:
        reader.error(fields.get("at_hand", node), "longer at hand than kept", "expected at most `keep`")
    if read.keep < asked.keep or read.at_hand < asked.at_hand:
        reader.warning(node, "shorter than PCI DSS 10.5.1 asks for", "twelve months, three of them at hand")
    return read


def _digests(reader: Reader, node: Node | None) -> Digests | None:
    fields = reader.fields(node, required=("secret", "of")) or {}
    secret = read_secret(reader, fields.get("secret"), "utf-8", LEAST_SECRET)
    of = reader.values(fields.get("of"), _digest_of, "places such as header:x-player-id")
    if of is not None and len(of) > MOST_DIGESTS:
        reader.error(fields["of"], "too many", f"at most {MOST_DIGESTS}")
    return Digests(secret, tuple(of)) if secret is not None and of is not None else None


def _digest_of(text: str) -> DigestOf:
    place, _, name = text.partition(":")
    if place == "header":
        return DigestOf(place, field_name(name))
    if place in ("query", "claim") and name and len(name) <= 64:
        return DigestOf(place, name)
    if place == "json" and name.startswith("/") and len(name) <= 128:
        return DigestOf(place, name)
    raise Unfit(
        f"{quoted(text)} is no place of a value",
        "expected one such as header:x-player-id, query:player, claim:sub, json:/player/id",
    )


def _witness_url(text: str) -> str:
    read = url(text)
    parts = urlsplit(read)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise Unfit(f"{quoted(text)} is not encrypted", "expected https://")
    if parts.query:
        raise Unfit(f"{quoted(text)} has a query", "expected a prefix, such as https://witness.example/log")
    return read


def _witness_key(text: str) -> str:
    """Read the key of a witness: `name+id+key` (C2SP signed-note), whose id is that of name and key."""
    name, _, rest = text.partition("+")
    written, _, encoded = rest.partition("+")
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != 33 or key[0] != 4 or sha256(f"{name}\n".encode() + key).hexdigest()[:8] != written:
        raise Unfit(f"{quoted(text)} is no key of a witness", "expected name+id+key, for Ed25519 cosignatures")
    return text
