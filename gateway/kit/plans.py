"""From a scheme to its plan."""

import json
import re
from typing import Any

from gateway.kit.composed_plan import composed_plan
from gateway.kit.plan import ALGORITHMS, BODY, Piece, Plan, Sample, field_variable, text
from gateway.signing.composed import ComposedScheme
from gateway.signing.httpsig.component import Component
from gateway.signing.httpsig.digest import CONTENT_DIGEST
from gateway.signing.httpsig.scheme import HttpMessageScheme
from gateway.signing.jws_payload import RequestPayload
from gateway.signing.jws_scheme import JwsScheme
from gateway.signing.scheme import Scheme


def plan_of(scheme: Scheme[Any], algorithm: str, sample: Sample) -> Plan | None:
    """Give the plan of a scheme; None for one that the samples have no words for."""
    if algorithm not in ALGORITHMS:
        return None
    if isinstance(scheme, HttpMessageScheme):
        return _of_messages(scheme, algorithm, sample)
    if isinstance(scheme, JwsScheme):
        return _of_jws(scheme, algorithm)
    return composed_plan(scheme, sample) if isinstance(scheme, ComposedScheme) else None


# HTTP Message Signatures

_DERIVED = {
    "@method": "method", "@target-uri": "url", "@authority": "authority", "@request-target": "target", "@path": "path",
}  # fmt: skip


def _of_messages(scheme: HttpMessageScheme, algorithm: str, sample: Sample) -> Plan | None:
    covered = dict.fromkeys(scheme.covered)
    present = [name for name in scheme.covered_if_present if name in sample.fields]
    covered |= dict.fromkeys(Component.parse(name) for name in present)
    if sample.body:
        covered |= dict.fromkeys([Component.parse(CONTENT_DIGEST)])
    lines: list[str] = []
    for component in covered:
        value = _value(component, sample)
        if value is None:
            return None
        lines += [f"{component.identifier}: ", *value, "\n"]
    parameters = [";created=", "{timestamp}", ';keyid="', "{key_id}", '"']
    if scheme.expires_required:
        parameters += [";expires=", "{expires}"]
    parameters += [';nonce="', "{nonce}", '"']
    if scheme.tag is not None:
        parameters.append(f';tag="{scheme.tag}"')
    inner = f"({' '.join(each.identifier for each in covered)})"
    label = scheme.label or "sig1"
    digest = [(CONTENT_DIGEST, text("sha-256=:", "{digest_sha256_base64}", ":"))] if sample.body else []
    return Plan(
        string=text(*lines, f'"@signature-params": {inner}', *parameters),
        algorithm=algorithm,
        encoding="base64",
        headers=(
            *digest,
            ("signature-input", text(f"{label}={inner}", *parameters)),
            ("signature", text(f"{label}=:", "{signature}", ":")),
        ),
    )


def _value(component: Component, sample: Sample) -> list[str] | None:
    """Give the pieces of a component's value; None where the samples have none."""
    if component != Component(component.name):
        return None
    if component.name == CONTENT_DIGEST:
        return ["sha-256=:", "{digest_sha256_base64}", ":"]
    if component.name in _DERIVED:
        return [f"{{{_DERIVED[component.name]}}}"]
    if component.name == "@scheme":
        return ["https"]
    if component.name == "@query":
        return ["?"]
    return [f"{{{field_variable(component.name)}}}"] if component.name in sample.fields else None


# JSON Web Signatures

_OWN = re.compile(r'("\{timestamp\}"|\{key_id\}|\{nonce\})')
"""What differs from one header to the next; the time is a number."""


def _of_jws(scheme: JwsScheme, algorithm: str) -> Plan:
    header = scheme.header_of(algorithm, "{key_id}", "{timestamp}", "{nonce}")
    split = _OWN.split(json.dumps(header, separators=(",", ":")))
    jose = tuple(Piece(each.strip('"{}'), variable=True) if _OWN.match(each) else Piece(each) for each in split if each)
    carried = {scheme.created_field: "timestamp", scheme.nonce_field: "nonce"}
    signed: list[str] = []
    if isinstance(scheme.payload, RequestPayload):
        signed += ["{method}", " ", "{path}", "\n"]
        for name in scheme.payload.required:
            variable = carried.get(name.lower(), field_variable(name.lower()))
            signed += [f"{name}: ", f"{{{variable}}}", "\n"]
    unencoded = scheme.expected.unencoded is True
    payload = text(*signed, f"{{{BODY}}}")
    compact = text("{jose}", ".", *([] if scheme.carried == "detached" else ["{payload}"]), ".", "{signature}")
    own = tuple((name, text(f"{{{variable}}}")) for name, variable in carried.items() if name is not None)
    return Plan(
        string=text("{jose}", ".") + (payload if unencoded else text("{payload}")),
        algorithm=algorithm,
        encoding="base64url",
        headers=own if scheme.carried == "body" else (*own, (scheme.header_field, compact)),
        timestamp_format="unix" if scheme.created_field is None else "rfc3339",
        jose=jose,
        payload=() if unencoded else payload,
        sent=compact if scheme.carried == "body" else (),
    )
