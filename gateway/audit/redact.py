"""Free text from outside, made fit for the log: no card number, no token, no control character, and bounded."""

import hashlib
import re
from collections.abc import Iterable

from gateway.core.memo import Bounded

NAME = 128
"""Characters kept of a name or an id."""
TEXT = 512
"""Characters kept of a distinguished name, a host, a warning, a problem of a policy."""
LONG = 1024
"""Characters kept of a path, a diagnosis, a line that could not be read."""

_CARD_DIGITS = range(13, 20)
"""Lengths of a primary account number (ISO/IEC 7812, and the 13 digits of old ones)."""
_DIGITS = re.compile(r"\d(?:(?:[ .-]|%2[0DEde])?\d){12,}")
"""Enough digits for a card number, with at most one space, dash or dot between any two, also percent-encoded."""
_MAYBE = re.compile(r"\d[\d .%DEde-]{12}")
_MAYBE_PLAIN = re.compile(r"[0-9][0-9 .-]{12}")
"""Stand in every text that _DIGITS stands in, the second in those of ASCII without `%`, and are quickly looked for."""
_GROUP = re.compile(r"%2[0DEde]|(\d+)")
_TOKEN = re.compile(r"eyJ[\w-]{6,}(?:\.[\w-]*){0,4}")
"""A JWS or JWE (RFC 7515, 7516): base64url of an object begins so."""
_NAMED = re.compile(
    r"(?<![a-z])(cvv2?|cvc2?|cvn2?|csc|(?:card[_-]?)?security[_-]?code|pin[_-]?block|passw(?:or)?d|passcode|api[_-]?key|"
    r"client[_-]?secret|(?:access|refresh)[_-]?token)(['\"]?[ ]?[=:][ ]?['\"]?)(?!\[hidden\])[^\s&'\";,]+",
    re.IGNORECASE,
)
"""What stands behind a name that says it is secret: security codes of cards (PCI DSS 3.3.1), passwords, keys."""
_QUERY = re.compile(r"\?[^\s'\"]+")
_DOUBLED = bytes.maketrans(bytes(range(10)), bytes(sum(divmod(2 * digit, 10)) for digit in range(10)))
"""What a doubled digit counts for in the Luhn check: the sum of its own digits."""
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")

_HARMLESS = Bounded[str, str](capacity=4096)
"""Texts up to _SHORT that were looked at and stay as they are: names, methods, hosts, paths come again and again."""
_SHORT = 64


def clean(text: str, limit: int = NAME) -> str:
    r"""Give text that may stand in the log, `limit` characters at most (and a note of some 50 where it is cut).

    1. what cannot be printed is escaped (`\u{1b}`): control characters, line separators, lone surrogates, marks
       that turn the direction of writing
    2. tokens are replaced by `[token]`, and what stands behind the name of a secret by `[hidden]`
    3. card numbers are masked (PCI DSS 3.4.1)
    4. what is too long is cut; the digest of the whole, over the text as masked, takes its place
    """
    if text in _HARMLESS and len(text) <= limit:
        return text
    if len(text) <= limit and text.isprintable() and not _may_hold_secret(text):
        return _HARMLESS.keep(text, text) if len(text) <= _SHORT else text
    if not text.isprintable():
        text = "".join(char if char.isprintable() else _escaped(char) for char in text)
    text = mask_cards(hide_named(_TOKEN.sub("[token]", text)))
    if len(text) <= limit:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    # Masked again: the part that is left of a number may pass the check that the whole did not.
    return f"{mask_cards(text[:limit])}… [{len(text)} characters, sha256:{digest}]"


def clean_all(texts: Iterable[str], limit: int = NAME, count: int = 32) -> list[str]:
    """Clean the first `count` texts, and say how many there were beyond."""
    listed = list(texts)
    more = [f"… and {len(listed) - count} more"] if len(listed) > count else []
    return [clean(text, limit) for text in listed[:count]] + more


def clean_digest(text: str) -> str:
    """Give a SHA-256 in hex as it is: digits within it are no card number. Anything else is cleaned."""
    return text if _DIGEST.match(text) else clean(text)


def clean_id(text: str) -> str:
    """Give a UUID, as the gate makes them, as it is: digits within it are no card number. Else clean it."""
    return text if _UUID.match(text) else clean(text)


def without_query(text: str) -> str:
    """Leave out what follows a `?` up to the next space or quote: a target's query holds what callers like."""
    return _QUERY.sub("?…", text) if "?" in text else text


def mask_cards(text: str) -> str:
    """Mask what may be a card number with `*`, keeping its first six and last four digits (PCI DSS 3.4.1).

    Candidates are 13 to 19 digits that pass the Luhn check, whole or in groups with single separators between
    them, whatever other groups stand beside. More than 19 digits on end are masked unchecked.
    """
    while (masked := _DIGITS.sub(_masked, text)) != text:
        text = masked  # what is left of one number may, with the next group, be another
    return text


def hide_named(text: str) -> str:
    """Put `[hidden]` in the place of what a name says to be secret: `cvv=123`, `"password": "…"`."""
    return _NAMED.sub(r"\1\2[hidden]", text)


def _may_hold_secret(text: str) -> bool:
    named = ("=" in text or ":" in text) and _NAMED.search(text) is not None
    return named or "eyJ" in text or _may_hold_card(text)


def _may_hold_card(text: str) -> bool:
    return (_MAYBE_PLAIN if text.isascii() and "%" not in text else _MAYBE).search(text) is not None


def _masked(match: re.Match[str]) -> str:
    text = match[0]
    if text.isdecimal():
        hides = len(text) > _CARD_DIGITS[-1] or passes_luhn([int(char) for char in text])
        return f"{text[:6]}{'*' * (len(text) - 10)}{text[-4:]}" if hides else text
    groups = [range(*group.span(1)) for group in _GROUP.finditer(text) if group[1]]
    hidden: set[int] = set()
    for first in range(len(groups)):
        places: list[int] = []
        for group in groups[first:]:
            places += group
            if len(places) > _CARD_DIGITS[-1]:
                if len(places) == len(group):
                    hidden.update(places[6:-4])
                break
            if len(places) in _CARD_DIGITS and passes_luhn([int(text[place]) for place in places]):
                hidden.update(places[6:-4])
    return "".join("*" if place in hidden else char for place, char in enumerate(text))


def passes_luhn(digits: list[int]) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    values = bytes(digits)
    return (sum(values[-1::-2]) + sum(values[-2::-2].translate(_DOUBLED))) % 10 == 0


def _escaped(char: str) -> str:
    return f"\\u{{{ord(char):x}}}"  # the brace keeps its digits apart from a card number behind it
