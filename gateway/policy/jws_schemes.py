"""Schemes of the section `schemes` that are JSON Web Signatures over messages."""

from collections.abc import Mapping
from typing import Literal

from gateway.policy.document import Definition
from gateway.policy.nodes import Node
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader
from gateway.policy.scheme_places import signed_name
from gateway.policy.values import Unfit, field_name, host
from gateway.policy.weaknesses import warn_of
from gateway.signing.jws_header import Expected
from gateway.signing.jws_payload import BodyPayload, RequestPayload
from gateway.signing.jws_scheme import JOSE_ALGORITHMS, Carried, JwsScheme

TYPE = "jws"

KEYS = (
    "type", "header", "carried", "kid", "b64", "critical", "required", "fixed", "types", "payload", "signed_fields",
    "timestamp", "nonce", "key_url_hosts",
)  # fmt: skip

_CARRIED: tuple[Carried, ...] = ("detached", "attached", "body")
_B64: Mapping[str, bool | None] = {"yes": False, "no": True, "either": None}
"""What `unencoded` must be."""


def read_jws_scheme(reader: Reader, name: str, definition: Definition) -> JwsScheme | None:
    """Read one scheme. What signatures leave unprotected is warned of."""
    fields = reader.fields(definition.node, required=("algorithms",), optional=KEYS)
    if fields is None:
        return None
    errors = reader.errors
    reader.choice(fields.get("type"), (TYPE,), "type of schemes with these keys")
    algorithms = [
        reader.choice(item, tuple(JOSE_ALGORITHMS), "algorithm of JWS")
        for item in reader.items(fields.get("algorithms"), "algorithms of JWS") or ()
    ]
    carried = reader.choice(fields.get("carried"), _CARRIED, "way to carry a JWS") or "detached"
    header = reader.value(fields.get("header"), field_name)
    expected = _read_expected(reader, fields)
    payload = _read_payload(reader, fields)
    created, nonce = (_read_where(reader, fields.get(what)) for what in ("timestamp", "nonce"))
    named = reader.choice(fields.get("kid"), ("required", "ignored")) != "ignored"
    if reader.errors > errors:
        return None
    try:
        scheme = JwsScheme(
            name=name,
            algorithms=frozenset(JOSE_ALGORITHMS[each] for each in algorithms if each is not None),
            header_field=header or "",
            carried=carried,
            expected=expected,
            payload=payload,
            key_named=named,
            created_parameter=created.get("parameter"),
            created_field=created.get("header"),
            nonce_parameter=nonce.get("parameter"),
            nonce_field=nonce.get("header"),
        )
    except ValueError as error:
        reader.error(definition.key, str(error))
        return None
    warn_of(reader, definition, scheme)
    return scheme


def _read_expected(reader: Reader, fields: Mapping[str, Node]) -> Expected:
    critical = reader.values(fields.get("critical"), parameter, "parameters of a header") or ()
    required: dict[str, str | None] = dict.fromkeys(
        reader.values(fields.get("required"), parameter, "parameters of a header") or ()
    )
    fixed = reader.mapping(fields.get("fixed"), "a mapping from parameters of a header to their texts")
    for name, node in fixed.values.items() if fixed is not None else ():
        required[name] = reader.text(node, "a text") or ""
    types = reader.values(fields.get("types"), str, "types") or ("JOSE", "JWT")
    hosts = reader.values(fields.get("key_url_hosts"), host, "hosts") or ()
    b64 = reader.choice(fields.get("b64"), tuple(_B64), "setting of b64") or "yes"
    return Expected(frozenset(critical), required, _B64[b64], frozenset(types), frozenset(hosts))


def _read_payload(reader: Reader, fields: Mapping[str, Node]) -> BodyPayload | RequestPayload:
    kinds: tuple[Literal["body", "request"], ...] = ("body", "request")
    kind = reader.choice(fields.get("payload"), kinds, "payload") or "body"
    names = reader.values(fields.get("signed_fields"), signed_name, "names of fields") or ()
    if kind == "body" and "signed_fields" in fields:
        reader.error(fields["signed_fields"], "a payload of the body signs no fields", "write `payload: request`")
    return RequestPayload(tuple(names)) if kind == "request" else BodyPayload()


def _read_where(reader: Reader, node: Node | None) -> dict[str, str]:
    """Read `{parameter: NAME}` or `{header: NAME}`."""
    fields = reader.fields(node, optional=("parameter", "header")) or {}
    if node is not None and len(fields) != 1:
        reader.error(node, "stands in one place", "expected {parameter: NAME} or {header: NAME}")
    named = reader.value(fields.get("parameter"), parameter)
    header = reader.value(fields.get("header"), field_name)
    given = {"parameter": named, "header": header}
    return {kind: text for kind, text in given.items() if text is not None}


def parameter(text: str) -> str:
    """Read the name of a parameter of a JOSE header."""
    if not text.isascii() or not text.isprintable() or " " in text or len(text) > 128:
        raise Unfit(f"{quoted(text)} is no parameter", "expected up to 128 visible ASCII characters")
    return text
