"""Looks after established connections: those that may not be used any more are cut.

What a handshake established does not stay true: certificates end, are revoked, or stand for nobody after a reload, and
authorities are taken out. A connection is looked at anew

- once its certificate, or what is known of its revocation, has ended,
- after each reload, whether of the policy, of authorities or of revocation lists,
- once something was learnt of revocation over the network,
- once the operator took something out of use: a certificate, a partner, or what opened a WebSocket.

A connection that is cut has no new request allowed. A request that was allowed before may still come to its outcome,
since upstream may have done the work; one that is not decided yet is denied. What is left after CUT_SECONDS is broken
off.
"""

from collections.abc import Collection, Mapping
from math import inf
from typing import Protocol

from gateway.audit.events import ConnectionCut
from gateway.core.exchange import Exchange
from gateway.core.message import Instant, Peer
from gateway.core.reasons import Denied, Reason
from gateway.engine.gate import Gate
from gateway.engine.in_force import InForce
from gateway.engine.tls import ServerContext
from gateway.pki.chain import Chain
from gateway.pki.revocation import Status, Verdict

CUT_SECONDS = 30.0
"""Time that a request which was allowed has left to finish on a connection that is cut: as long as a drain."""

_REASONS = {Status.REVOKED: Reason.CERTIFICATE_REVOKED, Status.UNKNOWN: Reason.CERTIFICATE_STATUS_UNKNOWN}


class Handler(Protocol):
    """One established connection."""

    @property
    def peer(self) -> Peer:
        """The other end."""
        ...

    @property
    def tunnelled(self) -> Exchange | None:
        """The request that opened a WebSocket, where one is open: nothing is decided on it any more."""
        ...

    def drain(self) -> None:
        """End the connection as soon as no request is open."""
        ...

    def abort(self) -> None:
        """End the connection now."""
        ...


class Standings:
    """Withdraws what the handshake gave, once it no longer holds."""

    def __init__(self, gate: Gate, handlers: Collection[Handler]) -> None:
        self._gate = gate
        self._handlers = handlers
        self._leaving: list[tuple[float, Handler]] = []

    def look(self) -> None:
        """Cut the connections whose time is over. Takes a fraction of a millisecond for 10,000 connections."""
        now = self._gate.clock.now()
        due = [handler for handler in self._handlers if handler.peer.standing.until < now]
        verdicts: dict[Chain, Verdict] = {}
        for handler in due:
            self._look_at(handler, verdicts, now)
        if self._leaving:
            self._break_off()

    def news(self) -> None:
        """Look at all connections anew: something was learnt of revocation."""
        now = self._gate.clock.now()
        verdicts: dict[Chain, Verdict] = {}
        for handler in list(self._handlers):
            self._look_at(handler, verdicts, now)

    @property
    def chains(self) -> set[Chain]:
        """The chains of the connections that stand."""
        found = (handler.peer.standing.chain for handler in self._handlers)
        return {chain for chain in found if isinstance(chain, Chain)}

    def reloaded(self, before: InForce, contexts: Mapping[str, ServerContext]) -> None:
        """Cut the connections that would not come in under the policy in force."""
        now, policy = self._gate.clock.now(), self._gate.in_force.policy
        verdicts: dict[Chain, Verdict] = {}
        for handler in list(self._handlers):
            peer = handler.peer
            chain = peer.standing.chain
            if not isinstance(chain, Chain) or peer.standing.withdrawn is not None:
                continue
            if chain.links[-1].der not in contexts[peer.listener].trusted:
                detail = f"{chain.links[-1].name} is no longer trusted"
                self._cut(handler, Reason.CERTIFICATE_UNTRUSTED, detail, now)
            elif before.policy.partners_of(chain.facts) and not policy.partners_of(chain.facts):
                self._cut(handler, Reason.PARTNER_UNKNOWN, "the reloaded policy has no partner for it", now)
            else:
                self._look_at(handler, verdicts, now)

    def barred(self) -> None:
        """Cut the connections of what the operator took out of use."""
        gate, now = self._gate, self._gate.clock.now()
        if gate.barred is None:
            return
        for handler in list(self._handlers):
            standing = handler.peer.standing
            if standing.withdrawn is not None:
                continue
            try:
                if isinstance(standing.chain, Chain):
                    facts = standing.chain.facts
                    gate.barred.check_connection(facts, gate.in_force.policy.partners_of(facts), now)
                if handler.tunnelled is not None:
                    gate.barred.check(handler.tunnelled)
            except Denied as denied:
                self._cut(handler, denied.reason, denied.detail, now)

    def _look_at(self, handler: Handler, verdicts: dict[Chain, Verdict], now: Instant) -> None:
        standing = handler.peer.standing
        chain = standing.chain
        if not isinstance(chain, Chain) or standing.withdrawn is not None:
            return
        check = self._gate.in_force.revocation.get(handler.peer.listener)
        verdict = Verdict(Status.GOOD)
        if check is not None:
            verdict = verdicts.get(chain) or check.judge(chain, now)
            verdicts[chain] = verdict
        if chain.facts.not_after < now:
            self._cut(handler, Reason.CERTIFICATE_EXPIRED, "the certificate, or one of its issuers', has ended", now)
        elif verdict.status in _REASONS:
            self._cut(handler, _REASONS[verdict.status], verdict.detail, now)
        else:
            standing.until = min(chain.facts.not_after, verdict.until)

    def _cut(self, handler: Handler, reason: Reason, detail: str, now: Instant) -> None:
        peer = handler.peer
        peer.standing.withdrawn = reason, detail
        peer.standing.until = Instant(inf)
        self._gate.record(
            ConnectionCut(
                now, self._gate.in_force.facts, peer.connection_id, peer.listener, peer.address, peer.port,
                reason, detail, peer.tls,
            )
        )  # fmt: skip
        self._leaving.append((self._gate.clock.monotonic() + CUT_SECONDS, handler))
        handler.drain()

    def _break_off(self) -> None:
        now = self._gate.clock.monotonic()
        over = [handler for ends, handler in self._leaving if ends <= now]
        self._leaving = [(ends, handler) for ends, handler in self._leaving if ends > now and handler in self._handlers]
        for handler in over:
            if handler in self._handlers:
                handler.abort()
