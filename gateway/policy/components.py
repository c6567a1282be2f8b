"""Covered components, labels and tags of signatures, as a policy writes them."""

import re

from gateway.policy.problem import quoted
from gateway.policy.values import Unfit, field_name, near
from gateway.signing.httpsig.component import DERIVED, Component
from gateway.signing.httpsig.inputs import MAX_TEXT

_LABEL = re.compile(r"[a-z*][a-z0-9_\-.*]{0,63}\Z")


def component(text: str) -> Component:
    """Read one covered component."""
    name = text.partition(";")[0].strip('"')
    if name.startswith("@") and name not in DERIVED:
        meant = near(name, DERIVED)
        hint = f"did you mean {quoted(meant)}?" if meant else f"expected one of {', '.join(map(quoted, DERIVED))}"
        raise Unfit(f"there is no component {quoted(name)}", hint)
    if not name.startswith("@"):
        field_name(name)
    try:
        return Component.parse(text)
    except ValueError as error:
        hint = 'expected one such as "@method", content-type, or \'"@query-param";name="id"\''
        raise Unfit(f"{quoted(text)}: {error}", hint) from None


def signature_label(text: str) -> str:
    """Read the label of a signature (RFC 9421 4.1)."""
    if not _LABEL.match(text):
        raise Unfit(f"{quoted(text)} is no label of a signature", "expected one in lower case such as sig1")
    return text


def signature_tag(text: str) -> str:
    """Read the tag of a signature (RFC 9421 2.3)."""
    if not text.isascii() or len(text) > MAX_TEXT:
        raise Unfit(f"{quoted(text)} is no tag", f"expected up to {MAX_TEXT} ASCII characters")
    return text
