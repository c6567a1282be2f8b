"""A policy's files made into the core's policy: whole, or not at all.

1. every file is read to nodes, and put together
2. every section is read to values; references are followed to what they name
3. what must hold between them is checked
4. only where nothing is wrong, the policy is made
"""

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.core.issuer import Issuer
from gateway.core.message import Instant
from gateway.core.policy import Policy, Upstream
from gateway.pki.crl import RevocationList
from gateway.policy import rules
from gateway.policy.audit import read_audit
from gateway.policy.document import Definition, Document, assemble
from gateway.policy.extensions import Extensions
from gateway.policy.folder import digest, read_policy
from gateway.policy.gateway_keys import read_gateway_key
from gateway.policy.inventory import Material, Owner
from gateway.policy.issuers import read_issuer
from gateway.policy.listeners import read_identity, read_listeners
from gateway.policy.lockout import read_lockout
from gateway.policy.metrics import read_metrics
from gateway.policy.outward import Outward
from gateway.policy.partners import PartnerEntry, PartnerReader
from gateway.policy.peers import read_upstream
from gateway.policy.problem import PolicyInvalid, Problem, Severity
from gateway.policy.reader import Reader
from gateway.policy.routes import RouteEntry, RouteReader
from gateway.policy.schemes import read_scheme
from gateway.policy.settings import Settings
from gateway.policy.state import read_state
from gateway.policy.tables import Table
from gateway.policy.values import day, name
from gateway.signing.jwks import KeySet
from gateway.signing.own import OwnKey
from gateway.signing.scheme import Scheme


@dataclass(frozen=True, slots=True)
class Loaded:
    """A policy that may come into force, and what belongs to it."""

    policy: Policy
    files: frozenset[Path]
    """Every file read or named, and the folder where the policy is one: what to watch for changes."""
    key_sets: Mapping[str, KeySet]
    """Verification keys from files, by the name of their issuer."""
    warnings: tuple[Problem, ...]
    revocation_lists: Mapping[str, tuple[RevocationList, ...]] = field(default_factory=dict)
    """By the name of the listener that asks them."""
    material: tuple[Material, ...] = ()
    """Every key and certificate that the policy trusts or uses, in the order of reading."""


def load(path: Path, environ: Mapping[str, str], *, now: Instant | None = None, shared_state: bool = True) -> Loaded:
    """Read the policy in a file or a folder of files. Signing secrets come from `environ` and from files.

    `now` is what dates are judged by, for warnings only; without it, expired keys and certificates and an overdue
    review are passed over in silence. `shared_state` says whether whoever serves the policy counts and remembers
    together, as one process does; without it, a control that needs that is an error unless the policy names a store
    that processes share. Raises PolicyInvalid with
    everything that is wrong.
    """
    with _without_collection():
        return _load(path, Reader(environ, now), shared_state=shared_state)


def _load(path: Path, reader: Reader, *, shared_state: bool) -> Loaded:
    sources, found = read_policy(path)
    reader.problems += found
    reader.files.update({path, *(source.file for source in sources)})
    parts = _Parts(reader, assemble(sources, reader), shared_state=shared_state) if sources else None
    problems = tuple(sorted(reader.problems, key=_by_place))
    if parts is None or any(problem.severity is Severity.ERROR for problem in problems):
        raise PolicyInvalid(problems, frozenset(reader.files))
    return Loaded(
        parts.policy(digest(sources)),
        frozenset(reader.files),
        parts.key_sets,
        problems,
        {name: tuple(lists) for name, lists in reader.revocation_lists.items()},
        tuple(reader.material),
    )


@contextmanager
def _without_collection() -> Iterator[None]:
    """Keep the garbage collector from looking through a growing tree again and again.

    Half of the time would go there, and each look stops the gate that serves meanwhile. A tree is no garbage, and
    is freed by its reference count.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _by_place(problem: Problem) -> tuple[str, int, int, str]:
    return str(problem.file), problem.line, problem.column, problem.path


class _Parts:
    """Reads the sections in the order in which they refer to each other."""

    def __init__(self, reader: Reader, document: Document, *, shared_state: bool) -> None:
        self._reader = reader
        self._document = document
        self._name = reader.value(document.single("name"), name)
        self._owner = reader.text(document.single("owner"), "who answers for the policy")
        self._review_by = reader.value(document.single("review_by"), day)
        self._warn_of_review()
        self._identity = read_identity(reader, document.single("identity"))
        self._state = read_state(reader, document.single("state"))
        self._lockout = read_lockout(reader, document.single("lockout"))
        self._audit = read_audit(reader, document.single("audit"))
        self._metrics = read_metrics(reader, document.single("metrics"))
        self._listeners = read_listeners(reader, document.named["listeners"])
        self._keys: Table[OwnKey] = self._table("gateway key", "gateway_keys", read_gateway_key)
        self.key_sets: dict[str, KeySet] = {}
        self._issuers = self._table("issuer", "issuers", self._read_issuer)
        self._schemes: Table[Scheme[Any]] = self._table("scheme", "schemes", read_scheme)
        self._outward = Outward(reader, self._schemes, self._keys)
        self._upstreams = self._table("upstream", "upstreams", self._read_upstream)
        partners = PartnerReader(reader, self._issuers)
        self._partners: Table[PartnerEntry] = self._table(
            "partner", "partners", lambda _, name, definition: partners.read(name, definition)
        )
        self._answers = self._outward.everywhere = self._outward.answers(document.single("sign_responses"))
        self._routes = self._read_routes()
        self._check(shared_state=shared_state)

    def _table[T](self, kind: str, section: str, read: Callable[[Reader, str, Definition], T | None]) -> Table[T]:
        table: Table[T] = Table(kind, complete=self._document.complete)
        for key, definition in self._document.named[section].items():
            self._reader.owner = Owner(kind, key)
            table.add(key, definition.key, read(self._reader, key, definition))
        return table

    def _read_upstream(self, reader: Reader, name: str, definition: Definition) -> Upstream | None:
        return read_upstream(reader, name, definition, self._outward)

    def _read_issuer(self, reader: Reader, name: str, definition: Definition) -> Issuer | None:
        read = read_issuer(reader, name, definition)
        if read is None:
            return None
        issuer, keys = read
        if keys is not None:
            self.key_sets[name] = keys
        return issuer

    def _read_routes(self) -> list[RouteEntry]:
        extensions = Extensions.find()
        settings = Settings(self._reader, self._issuers, self._schemes, extensions)
        routes = RouteReader(
            self._reader, self._upstreams, self._partners, settings, tuple(extensions.installed), self._outward
        )
        found = [routes.read(node) for node in self._document.routes]
        return [route for route in found if route is not None]

    def _check(self, *, shared_state: bool) -> None:
        reader, everyone = self._reader, self._partners.values
        lockout = self._document.single("lockout")
        if lockout is not None and not shared_state and self._state.store is None:
            rules.refuse_shared_lockout(reader, lockout)
        for route in self._routes:
            rules.check_route(reader, route, everyone)
            if not shared_state and self._state.store is None:
                rules.refuse_shared_state(reader, route)
            if self._state.store is not None:
                rules.check_shared_money(reader, route, self._document.single("state"))
            if route.partners_off is not None:
                self._partners.use(everyone)
        rules.check_keys(reader, self._routes, everyone)
        rules.check_distinct(reader, self._routes)
        if self._document.complete:
            rules.check_partner_limits(reader, self._routes, everyone)
        rules.warn_of_open_networks(reader, self._routes, everyone)
        for table in (self._upstreams, self._issuers, self._schemes, self._partners, self._keys):
            table.report_unused(reader)

    def _warn_of_review(self) -> None:
        node = self._document.single("review_by")
        if node is None or self._review_by is None or self._reader.now is None:
            return
        if self._review_by < datetime.fromtimestamp(self._reader.now, UTC).date():
            self._reader.warning(node, "the review of this policy is overdue", "review it, and set the next date")

    def policy(self, named: str) -> Policy:
        """Make the policy with this digest. Only where there are no errors."""
        assert self._name is not None
        assert self._owner is not None
        assert self._review_by is not None
        return Policy(
            name=self._name,
            digest=named,
            listeners=self._listeners,
            upstreams=self._upstreams.values,
            issuers=self._issuers.values,
            partners={name: entry.partner for name, entry in self._partners.values.items()},
            routes=tuple(route.compiled(self._partners.values, self._answers) for route in self._routes),
            identity=self._identity,
            state=self._state,
            lockout=self._lockout,
            audit=self._audit,
            metrics=self._metrics,
            owner=self._owner,
            review_by=self._review_by.isoformat(),
            answers=self._answers,
        )
