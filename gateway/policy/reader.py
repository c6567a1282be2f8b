"""Reads typed values out of nodes. What does not fit becomes a problem, and reading goes on with the rest."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from cryptography import x509

from gateway.core.message import Instant
from gateway.core.policy import SwitchedOff
from gateway.pki.crl import RevocationList
from gateway.policy.inventory import Crypto, Material, Owner, Role
from gateway.policy.nodes import MappingNode, Node, ScalarNode, SequenceNode
from gateway.policy.problem import Problem, Severity, quoted
from gateway.policy.values import Unfit, near

_KINDS = {ScalarNode: "text", SequenceNode: "a list", MappingNode: "a mapping"}

_OFF_WORDS = frozenset({"off", "no", "false", "none", "never", "disabled"})

_NO_REASONS = _OFF_WORDS | {"on", "yes", "true", "x", "tbd", "todo"}


class Reader:
    """Takes values out of nodes and keeps the problems.

    Every method that gives a value gives None for one that is absent or does not fit; for the latter it has
    recorded a problem, so that its caller only has to go on.
    """

    def __init__(self, environ: Mapping[str, str], now: Instant | None) -> None:
        self.environ = environ
        self.now = now
        """Reference time for warnings about dates; None: dates are not judged."""
        self.problems: list[Problem] = []
        self.errors = 0
        """How many of the problems are errors."""
        self.files: set[Path] = set()
        """Every file that the policy names."""
        self.owner = Owner("policy", "")
        """Of what is being read."""
        self.material: list[Material] = []
        """Every key and certificate that was read, in the order of reading."""
        self.trusted: set[x509.Name] = set()
        """Names of the CAs that listeners trust."""
        self.revocation_lists: dict[str, list[RevocationList]] = {}
        """By the name of the listener that asks them."""

    def error(self, node: Node, message: str, hint: str = "") -> None:
        """Record what keeps the policy from coming into force."""
        self.errors += 1
        self._record(node, message, hint, Severity.ERROR)

    def warning(self, node: Node, message: str, hint: str = "") -> None:
        """Record what the policy's owner should know."""
        self._record(node, message, hint, Severity.WARNING)

    def uses(self, node: Node, role: Role, what: Crypto, file: str = "") -> None:
        """Keep what the policy trusts or uses for the inventory; `file` is where it was found."""
        self.material.append(Material(self.owner, role, what, node.place, node.trail, file))
        if self.owner.kind == "listener" and role is Role.AUTHORITY and isinstance(what, x509.Certificate):
            self.trusted.add(what.subject)

    def _record(self, node: Node, message: str, hint: str, severity: Severity) -> None:
        place = node.place
        self.problems.append(Problem(place.file, place.line, place.column, str(node.trail), message, hint, severity))

    def mapping(self, node: Node | None, expected: str = "a mapping") -> MappingNode | None:
        """Give a mapping."""
        if node is None or isinstance(node, MappingNode):
            return node
        self._unexpected(node, expected)
        return None

    def fields(
        self, node: Node | None, required: Collection[str] = (), optional: Collection[str] = ()
    ) -> Mapping[str, Node] | None:
        """Give the values of a mapping by key; unknown and missing keys are problems."""
        known = (*required, *optional)
        if not isinstance(node, MappingNode):
            if node is not None:
                self._unexpected(node, f"a mapping with {_listing(known)}")
            return None
        for key, written in node.keys.items():
            if key not in known:
                self.error(written, f"unknown key {quoted(key)}", key_suggestion(key, known))
        for key in required:
            if key not in node.values:
                self.error(node, f"`{key}` is missing")
        return {key: value for key, value in node.values.items() if key in known}

    def items(self, node: Node | None, of: str) -> Sequence[Node] | None:
        """Give the items of a list that is not empty; `of` names them in the plural."""
        if node is None:
            return None
        if not isinstance(node, SequenceNode):
            self._unexpected(node, f"a list of {of}")
            return None
        if not node.items:
            self.error(node, f"an empty list of {of}")
            return None
        return node.items

    def text(self, node: Node | None, expected: str = "text") -> str | None:
        """Give one line of text that is not empty."""
        written = self.raw_text(node, expected)
        if node is None or written is None:
            return None
        if not written.strip():
            self.error(node, "is empty", f"expected {expected}")
            return None
        if not written.isprintable():
            self.error(node, f"{quoted(written)} has control characters", f"expected {expected}")
            return None
        return written

    def raw_text(self, node: Node | None, expected: str = "text") -> str | None:
        """Give text of whatever characters, none included where it stands in quotes."""
        if node is None:
            return None
        if not isinstance(node, ScalarNode) or node.absent:
            self._unexpected(node, expected)
            return None
        return node.text

    def value[T](self, node: Node | None, parse: Callable[[str], T]) -> T | None:
        """Give what `parse` (of `values`) makes of a line of text."""
        written = self.text(node)
        if node is None or written is None:
            return None
        try:
            return parse(written)
        except Unfit as unfit:
            self.error(node, unfit.message, unfit.hint)
            return None

    def value_or[T](self, node: Node | None, parse: Callable[[str], T], default: T) -> T:
        """Give what `parse` makes of it, and the default where it is absent or does not fit."""
        value = self.value(node, parse)
        return default if value is None else value

    def values[T](self, node: Node | None, parse: Callable[[str], T], of: str) -> list[T] | None:
        """Give the values of a list without duplicates; None where any of them does not fit."""
        items = self.items(node, of)
        if items is None:
            return None
        found: dict[T, Node] = {}
        errors = self.errors
        for item in items:
            value = self.value(item, parse)
            if value is None:
                continue
            first = found.setdefault(value, item)
            if first is not item:
                self.error(item, "stands twice in the list", f"first in line {first.place.line}")
        return list(found) if self.errors == errors else None

    def whole_number(self, node: Node | None, least: int, most: int) -> int | None:
        """Give a whole number, written in digits without quotes."""
        if node is None:
            return None
        expected = f"a whole number from {least:,} to {most:,}" if least < most else f"the number {most}"
        if not isinstance(node, ScalarNode) or not node.plain or node.absent:
            self._unexpected(node, expected)
            return None
        digits = node.text.replace("_", "")
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 20 and least <= int(digits) <= most):
            self.error(node, f"{quoted(node.text)} does not fit", f"expected {expected}")
            return None
        return int(digits)

    def choice[T: str](self, node: Node | None, options: Collection[T], what: str = "") -> T | None:
        """Give one of the options."""
        written = self.text(node, _one_of(options))
        if node is None or written is None:
            return None
        for option in options:
            if option == written:
                return option
        self.error(node, f"{quoted(written)} is no {what or 'known value'}", suggestion(written, options))
        return None

    def switched_off(self, node: Node, control: str) -> SwitchedOff | None:
        """Give the reason in `{off: "reason"}`; None where the node does not switch anything off."""
        if not isinstance(node, MappingNode) or "off" not in node.values:
            return None
        fields = self.fields(node, required=("off",)) or {}
        expected = 'the reason in words, such as {off: "the vendor cannot send one"}'
        reason = self.text(fields.get("off"), expected)
        if reason is not None and reason.lower() in _NO_REASONS:
            self.error(fields["off"], f"{quoted(reason)} is no reason", f"expected {expected}")
        return SwitchedOff(control, reason or "")

    def refuse_bare_off(self, node: Node) -> bool:
        """Record a problem where a control is switched off without a reason; whether it was."""
        if isinstance(node, ScalarNode) and (node.absent or node.text.lower() in _OFF_WORDS):
            self.error(node, "switched off without a reason", 'write it as {off: "the reason"}')
            return True
        return False

    def _unexpected(self, node: Node, expected: str) -> None:
        """Record that a node is of the wrong kind."""
        if isinstance(node, ScalarNode) and node.absent:
            found = "nothing is written here"
        elif isinstance(node, ScalarNode) and not node.plain:
            found = "found text in quotes"
        else:
            found = f"found {_KINDS[type(node)]}"
        self.error(node, found, f"expected {expected}")


def suggestion(word: str, known: Collection[str], expected: str | None = None) -> str:
    """Give the hint for a word that is none of the known ones: what was expected, and what was probably meant.

    `expected` is what to say of the former instead of listing all of `known`.
    """
    if expected is None:
        expected = f"expected {_one_of(known)}"
    meant = near(word, known) if len(known) > 1 else None
    return expected if meant is None else f"{expected}; did you mean `{meant}`?"


def key_suggestion(key: str, known: Collection[str]) -> str:
    """Give the hint for a key that is none of the known ones: they are listed only where none is near."""
    meant = near(key, known)
    return suggestion(key, known) if meant is None else f"did you mean `{meant}`?"


def _one_of(words: Collection[str]) -> str:
    return f"{'' if len(words) == 1 else 'one of '}{_listing(words)}"


def _listing(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)
