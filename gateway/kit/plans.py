"""From a scheme to its plan."""

import json
import re
from typing import Any

from gateway.kit.composed_plan import composed_plan
from gateway.kit.message_plan import message_plan
from gateway.kit.plan import BODY, Piece, Plan, Sample, field_variable, text
from gateway.kit.sigv4_plan import sigv4_plan
from gateway.signing.composed import ComposedScheme
from gateway.signing.httpsig.scheme import HttpMessageScheme
from gateway.signing.jws_payload import RequestPayload
from gateway.signing.jws_scheme import JwsScheme
from gateway.signing.scheme import Scheme
from gateway.signing.sigv4 import SigV4Scheme


def plan_of(scheme: Scheme[Any], algorithm: str, sample: Sample) -> Plan:
    """Give the plan of a scheme.

    Raises ValueError for a field that must be signed and that the sample does not have, TypeError for any other scheme.
    """
    if isinstance(scheme, HttpMessageScheme):
        return message_plan(scheme, algorithm, sample)
    if isinstance(scheme, JwsScheme):
        return _of_jws(scheme, algorithm)
    if isinstance(scheme, SigV4Scheme):
        return sigv4_plan(scheme, sample)
    if not isinstance(scheme, ComposedScheme):
        raise TypeError(scheme)
    return composed_plan(scheme, sample)


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
