"""Schemes of the section `schemes` that are AWS Signature Version 4."""

import re

from gateway.policy.document import Definition
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader
from gateway.policy.values import Unfit
from gateway.policy.weaknesses import warn_of
from gateway.signing.sigv4 import SigV4Scheme

TYPE = "aws-sigv4"

_NAME = re.compile(r"[a-z0-9-]{1,63}\Z")


def read_sigv4_scheme(reader: Reader, name: str, definition: Definition) -> SigV4Scheme | None:
    """Read one scheme. What it leaves unprotected is warned of."""
    fields = reader.fields(definition.node, required=("region", "service"), optional=("type",))
    region = reader.value(fields.get("region"), _name) if fields is not None else None
    service = reader.value(fields.get("service"), _name) if fields is not None else None
    if region is None or service is None:
        return None
    scheme = SigV4Scheme(name, region, service)
    warn_of(reader, definition, scheme)
    return scheme


def _name(text: str) -> str:
    if not _NAME.match(text):
        raise Unfit(f"{quoted(text)} is no name of a region or service", "expected one such as eu-west-1, execute-api")
    return text
