"""The section `revocation` of a listener's TLS: where it is looked up whether a client certificate was taken back."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TypedDict

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.core.policy import Revocation
from gateway.pki.crl import MAX_BYTES, RevocationList, read_lists
from gateway.policy.environment import shown_path
from gateway.policy.inventory import Role, printable
from gateway.policy.nodes import Node
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader
from gateway.policy.references import named_file, read_named
from gateway.policy.values import Unfit, duration, host, url

REFRESH = 3_600.0
"""Seconds: lists are most often published daily, or before their end."""

TIMEOUT = 5.0
"""Seconds, for which the first handshake of a chain waits."""

DENY = "deny"
ALLOW_UNTIL = "allow-until "

_KEYS = ("lists", "distribution_points", "ocsp", "check", "on_stale", "refresh", "timeout")

_REMEMBERED = 64
_known: OrderedDict[bytes, list[RevocationList]] = OrderedDict()
"""Lists by the digest of their file: a reload for another reason does not read 100,000 entries anew."""


def read_revocation(reader: Reader, node: Node | None) -> Revocation | None:
    """Read the section; the lists are kept in `reader.revocation_lists`."""
    fields = reader.fields(node, optional=_KEYS)
    if node is None or fields is None:
        return None
    if not fields.keys() & {"lists", "distribution_points", "ocsp"}:
        reader.error(node, "nothing tells of revocation", "expected `lists`, `distribution_points` or `ocsp`")
    check = reader.choice(fields.get("check"), ("chain", "leaf"))
    stale_for = reader.value_or(fields.get("on_stale"), _stale_for, 0.0)
    errors = reader.errors
    files: list[PurePath] = []
    lists: list[RevocationList] = []
    for item in reader.items(fields.get("lists"), "files") or ():
        path = named_file(reader, item)
        data = None if path is None else read_named(reader, item, path, MAX_BYTES)
        if path is not None and data is not None:
            files.append(path)
            lists += _read(reader, item, shown_path(item, path), data, stale_for)
    reader.revocation_lists.setdefault(reader.owner.name, []).extend(lists)
    remote = _read_remote(reader, fields)
    if reader.errors == errors and not fields.keys() & {"distribution_points", "ocsp"}:
        _warn_of_missing(reader, fields.get("lists"), lists)
    return Revocation(tuple(files), check == "leaf", stale_for, **remote)


class _Remote(TypedDict, total=False):
    """What of the settings is about asking over the network."""

    point_hosts: frozenset[str]
    ocsp_hosts: frozenset[str]
    responder: str | None
    refresh: float
    timeout: float


def _read_remote(reader: Reader, fields: Mapping[str, Node]) -> _Remote:
    points = reader.fields(fields.get("distribution_points"), required=("hosts",)) or {}
    node = fields.get("ocsp")
    ocsp = reader.fields(node, optional=("hosts", "responder")) or {}
    if node is not None and len(ocsp) != 1:
        hint = "the hosts of responders that certificates name, or the URL of one to ask always"
        reader.error(node, "expected either `hosts` or `responder`", hint)
    return {
        "point_hosts": frozenset(reader.values(points.get("hosts"), _host, "hosts") or ()),
        "ocsp_hosts": frozenset(reader.values(ocsp.get("hosts"), _host, "hosts") or ()),
        "responder": reader.value(ocsp.get("responder"), url),
        "refresh": reader.value_or(fields.get("refresh"), duration, REFRESH),
        "timeout": reader.value_or(fields.get("timeout"), duration, TIMEOUT),
    }


def _host(text: str) -> str:
    """Read a host, with port where it is not the scheme's."""
    named, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        return host(text).strip("[]")
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65_536):
        raise Unfit(f"{quoted(text)} is no host", "expected one such as crl.acme.example, or with a port")
    return f"{host(named).strip('[]')}:{int(port)}"


def _stale_for(text: str) -> float:
    if text == DENY:
        return 0.0
    if text.startswith(ALLOW_UNTIL):
        return duration(text.removeprefix(ALLOW_UNTIL))
    raise Unfit(f"{quoted(text)} is no known value", f"expected `{DENY}`, or `{ALLOW_UNTIL}6h`")


def _read(reader: Reader, node: Node, shown: str, data: bytes, stale_for: float) -> list[RevocationList]:
    digest = hashlib.sha256(data).digest()
    try:
        lists = _known[digest] if digest in _known else read_lists(data)
    except ValueError as error:
        reader.error(node, f"file {shown} {error}", "expected complete lists by RFC 5280, as CAs publish them")
        return []
    _known[digest] = lists
    _known.move_to_end(digest)
    while len(_known) > _REMEMBERED:
        _known.popitem(last=False)
    for each in lists:
        reader.uses(node, Role.REVOKES, each, shown)
        _warn_of_age(reader, node, each, stale_for)
        _refuse_forged(reader, node, each)
    return lists


def _warn_of_age(reader: Reader, node: Node, found: RevocationList, stale_for: float) -> None:
    if reader.now is not None and found.next_update < reader.now:
        ended = f"{datetime.fromtimestamp(found.next_update, UTC):%Y-%m-%d %H:%M} UTC"
        counts = found.next_update + stale_for >= reader.now
        hint = f"{'it counts for a while yet' if counts else 'nobody is let in by it'}: fetch the next one"
        reader.warning(node, f"the list of {_named(found.issuer)} is out of date since {ended}", hint)


def _refuse_forged(reader: Reader, node: Node, found: RevocationList) -> None:
    """Complain of a list by the name of a CA that the listener trusts, and not signed by any CA of that name."""
    same = [each for each in _trusted(reader) if each.subject == found.issuer]
    if same and not any(found.signed_by(each, each.fingerprint(SHA256())) for each in same):
        hint = "of an older key, or not the CA's; fetch it anew"
        reader.error(node, f"the list of {_named(found.issuer)} is not signed by that CA", hint)


def _warn_of_missing(reader: Reader, node: Node | None, lists: list[RevocationList]) -> None:
    """Warn of CAs that the listener trusts and that no list is of: nobody to whom they issued is let in."""
    listed = {each.issuer for each in lists}
    for authority in _trusted(reader):
        if node is not None and authority.subject not in listed:
            hint = "whatever it issued is refused: add its list"
            reader.warning(node, f"no list of {_named(authority.subject)}", hint)


def _trusted(reader: Reader) -> Iterator[x509.Certificate]:
    for one in reader.material:
        if one.owner == reader.owner and one.role is Role.AUTHORITY and isinstance(one.what, x509.Certificate):
            yield one.what


def _named(name: x509.Name) -> str:
    return quoted(printable(name.rfc4514_string()))
