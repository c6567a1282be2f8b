"""The files of a policy put together: any section in any file, each name once."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.policy.folder import Source
from gateway.policy.nodes import MappingNode, Node, ScalarNode
from gateway.policy.problem import quoted
from gateway.policy.reader import Reader, key_suggestion
from gateway.policy.values import Unfit, name

VERSION = 1
"""The version of the policy's grammar."""

SINGLES = (
    "name",
    "owner",
    "review_by",
    "listener",
    "identity",
    "state",
    "lockout",
    "audit",
    "sign_responses",
    "metrics",
)
"""Sections that stand once in a policy."""

NAMED = ("listeners", "upstreams", "issuers", "partners", "schemes", "gateway_keys")
"""Sections whose entries have names."""

MAIN_LISTENER = "main"
"""Name of the listener in the section `listener`."""


@dataclass(frozen=True, slots=True)
class Definition:
    """An entry of a named section."""

    key: ScalarNode
    node: Node
    preset: str = ""
    """The vendor's preset that a scheme is made of."""


@dataclass(slots=True)
class Document:
    """One policy, whatever the number of its files."""

    complete: bool
    """Whether every file could be read: only then can something be called missing."""
    top: MappingNode | None = None
    """The first file's mapping, where problems of the policy as a whole are placed."""
    singles: dict[str, Definition] = field(default_factory=dict)
    named: dict[str, dict[str, Definition]] = field(default_factory=lambda: {section: {} for section in NAMED})
    routes: list[Node] = field(default_factory=list)

    def single(self, section: str) -> Node | None:
        """Give the value of a section that stands once."""
        definition = self.singles.get(section)
        return definition.node if definition is not None else None


def assemble(sources: Iterable[Source], reader: Reader) -> Document:
    """Put files together; a name's second definition is a problem that tells where the first one stands."""
    listed = list(sources)
    document = Document(complete=all(source.top is not None for source in listed))
    for source in listed:
        top = reader.mapping(source.top, "a mapping with the sections of a policy")
        if top is not None:
            document.top = document.top or top
            _add_file(document, top, reader)
        else:
            document.complete = False
    _require(document, reader)
    return document


def _add_file(document: Document, top: MappingNode, reader: Reader) -> None:
    known = ("version", *SINGLES, *NAMED, "routes")
    _check_version(top, reader)
    for section, node in top.values.items():
        key = top.keys[section]
        if section in SINGLES:
            _define(document.singles, section, Definition(key, node), reader)
        elif section in NAMED:
            _add_named(document.named[section], section, node, reader)
        elif section == "routes":
            document.routes += reader.items(node, "routes") or ()
        elif section != "version":
            reader.error(key, f"unknown section {quoted(section)}", key_suggestion(section, known))


def _check_version(top: MappingNode, reader: Reader) -> None:
    version = top.values.get("version")
    if version is None:
        reader.error(top, "`version` is missing", f"expected `version: {VERSION}` in every file")
    elif isinstance(version, ScalarNode) and version.plain and not version.absent and version.text != str(VERSION):
        reader.error(version, f"version {quoted(version.text)} is not known", f"expected {VERSION}")
    else:
        reader.whole_number(version, VERSION, VERSION)


def _add_named(entries: dict[str, Definition], section: str, node: Node, reader: Reader) -> None:
    mapping = reader.mapping(node, f"a mapping from names to {section}")
    for text, value in mapping.values.items() if mapping is not None else ():
        key = mapping.keys[text] if mapping is not None else None
        assert key is not None
        try:
            name(text)
        except Unfit as unfit:
            reader.error(key, unfit.message, unfit.hint)
        _define(entries, text, Definition(key, value), reader)


def _define(entries: dict[str, Definition], text: str, definition: Definition, reader: Reader) -> None:
    first = entries.get(text)
    if first is not None:
        reader.error(definition.key, f"{quoted(text)} is defined twice", f"first at {first.key.place}")
        return
    entries[text] = definition


def _require(document: Document, reader: Reader) -> None:
    """Complain of what a policy cannot do without, and make the section `listener` the listener `main`."""
    listener = document.singles.get("listener")
    if listener is not None:
        _define(document.named["listeners"], MAIN_LISTENER, listener, reader)
    top = document.top
    if not document.complete or top is None:
        return
    for section in ("name", "owner", "review_by"):
        if section not in document.singles:
            reader.error(top, f"`{section}` is missing", "expected once in a policy, in any of its files")
    if not document.named["listeners"]:
        reader.error(top, "`listener` is missing", "expected an address and TLS files")
    if not document.routes:
        reader.error(top, "`routes` are missing", "a policy without routes denies everything")
