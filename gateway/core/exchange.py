"""The way of a request. Read this first.

1. the policy finds the route: none means denied
2. the client's address is established
3. the controls of the route's chain are asked one after the other, in the order of `chain.ORDER`;
   each adds what it verified to the exchange, or raises Denied
4. only a request that came to the end of the chain, from a partner the route lists, is allowed
"""

from collections.abc import Generator
from types import TracebackType

from gateway.core.barred import Barred
from gateway.core.chain import Answer, Ask, ReadBody, answered
from gateway.core.decision import Decision
from gateway.core.document import Value, check_declared, read_document
from gateway.core.facts import Claims, VerifiedSignature
from gateway.core.holds import Hold
from gateway.core.message import Address, Instant, Peer, RequestHead
from gateway.core.networks import client_address
from gateway.core.policy import Partner, Policy, Route
from gateway.core.reasons import Denied, Reason, Unavailable
from gateway.core.trailers import Trailers


def decide(
    policy: Policy, peer: Peer, head: RequestHead, now: Instant, barred: Barred | None = None
) -> Generator[Ask, Answer, Decision]:
    """Decide one request. Yields what it needs to know; whoever drives it sends the answer in.

    `barred` is what was taken out of use; None where nothing was.

    An ask that fails is thrown in as `Unavailable`, a peer's fault found meanwhile as `Denied`. Whatever is
    raised, the result is a denial.
    """
    exchange = Exchange(policy, peer, head, now)
    exchange.barred = barred
    try:
        route = exchange.route = policy.route_for(head)
        exchange.client_address = client_address(peer, head.headers, policy.listeners[peer.listener].trusted_proxies)
        for control in route.chain:
            exchange.control = control.name
            yield from control.check(exchange)
            exchange.passed.append(control.name)
        exchange.control = None
        return exchange.allow()
    except Denied as denied:
        return exchange.deny(denied)
    except Unavailable as unavailable:
        return exchange.deny(Denied(unavailable.reason, unavailable.detail))
    except Exception as error:  # noqa: BLE001 - whatever it is, it must deny
        return exchange.deny(failure(error))


def refuse(policy: Policy, peer: Peer, now: Instant, denied: Denied) -> Decision:
    """Decide about bytes that could not be read as a request: a denial without a head."""
    return Exchange(policy, peer, None, now).deny(denied)


def failure(error: BaseException) -> Denied:
    """Make a denial of an error of our own: its type and place, never its message, which may hold a secret."""
    return Denied(Reason.CONTROL_FAILED, f"{type(error).__name__} at {_place(error.__traceback__)}")


def _place(traceback: TracebackType | None) -> str:
    place = "an unknown place"
    while traceback is not None:
        code = traceback.tb_frame.f_code
        place = f"{code.co_qualname} ({code.co_filename.rpartition('/')[2]}:{traceback.tb_lineno})"
        traceback = traceback.tb_next
    return place


class Exchange:
    """One request on its way through the chain, and what has been verified of it so far."""

    __slots__ = (
        "_document", "barred", "body", "claims", "client_address", "control", "head", "holds", "marks", "now",
        "operation", "partner", "passed", "peer", "policy", "recorded", "repeated", "response_fields", "route",
        "signature",
    )  # fmt: skip

    def __init__(self, policy: Policy, peer: Peer, head: RequestHead | None, now: Instant) -> None:
        self.policy = policy
        self.peer = peer
        self.head = head
        self.now = now
        """The one reference time of this request."""
        self.barred: Barred | None = None
        """What was taken out of use; None: nothing."""
        self.client_address: Address = peer.address
        self.route: Route | None = None
        self.control: str | None = None
        """The control at work; None outside the chain."""
        self.passed: list[str] = []
        self.partner: Partner | None = None
        self.claims: Claims | None = None
        self.signature: VerifiedSignature | None = None
        self.body: bytes | None = None
        """The body as received, once a control has asked for it."""
        self.response_fields: list[tuple[str, str]] = []
        """Fields for the answer, whoever gives it."""
        self.holds: tuple[Hold, ...] = ()
        """What the store keeps for this request until it has ended."""
        self.marks: tuple[str, ...] = ()
        """What a control noted without denying, for the record and for upstream."""
        self.operation: bytes | None = None
        """The idempotency key: what the caller calls the operation."""
        self.repeated = False
        """Whether the request came before, and its route answers it again: it is not forwarded a second time."""
        self._document: tuple[Value] | None = None
        self.recorded: object = None
        """What the log made of it for the decision's record, and takes for the outcome's; nobody else reads it."""

    @property
    def request(self) -> RequestHead:
        """The head; inside the chain there always is one."""
        if self.head is None:
            raise RuntimeError("no request head was read")
        return self.head

    def identify(self, partner: Partner, otherwise: Reason) -> None:
        """Record who calls, as a control verified it.

        Raises Denied(PARTNER_NOT_ALLOWED) where the route does not list the partner, Denied(`otherwise`) where an
        earlier control verified somebody else, and what `Barred.check` raises.
        """
        if self.partner is not None and self.partner.name != partner.name:
            raise Denied(otherwise, f"belongs to {partner.name}, the caller is {self.partner.name}")
        allowed = self.route.partners if self.route is not None else frozenset()
        if allowed is not None and partner.name not in allowed:
            self.partner = partner
            raise Denied(Reason.PARTNER_NOT_ALLOWED, f"{partner.name} is not listed on the route")
        self.partner = partner
        if self.barred is not None:
            self.barred.check(self)

    def read_body(self, *, trailers: bool = False) -> Generator[Ask, Answer, bytes]:
        """Give the whole body as received; asks the engine for it once.

        Trailers become the head's where they are asked for, and are refused otherwise.

        Raises Denied(BODY_TOO_LARGE) where the declared length is beyond the route's limit.
        """
        if self.body is None:
            self.check_declared_length()
            limit = self.route.body_limit if self.route is not None else 0
            behind = Trailers() if trailers else None
            self.body = answered((yield ReadBody(limit, behind)), bytes) if self.request.has_body else b""
            if behind is not None and behind.headers is not None:
                self.head = self.request._replace(trailers=behind.headers)
        return self.body

    def read_document(self) -> Generator[Ask, Answer, Value]:
        """Give the body as JSON. Raises Denied as `check_declared`, `read_body` and `read_document` do."""
        if self._document is None:
            check_declared(self.request.headers)
            self._document = (read_document((yield from self.read_body())),)
        return self._document[0]

    def check_declared_length(self) -> None:
        """Raise Denied(BODY_TOO_LARGE) where Content-Length is beyond the route's limit."""
        limit = self.route.body_limit if self.route is not None else 0
        length = self.request.content_length
        if length is not None and length > limit:
            raise Denied(Reason.BODY_TOO_LARGE, f"Content-Length {length}, the route takes {limit} bytes")

    def allow(self) -> Decision:
        """Allow: the one place where it is done.

        Raises Denied where the caller is none of the route's partners, and where the connection may not be used any
        more: its certificate was revoked while it stood. What is barred is refused here too, whichever control, or
        none, has asked before.
        """
        if self.barred is not None:
            self.barred.check(self)
        withdrawn = self.peer.standing.withdrawn
        if withdrawn is not None:
            raise Denied(*withdrawn)
        if self.route is None:
            raise Denied(Reason.ROUTE_UNKNOWN, "no route was found")
        if self.route.partners is not None and self.partner is None:
            raise Denied(Reason.PARTNER_UNKNOWN, "no control of the chain identified the caller")
        self.check_declared_length()
        return Decision(Reason.ALLOWED, "", None, tuple(self.response_fields), self)

    def deny(self, denied: Denied) -> Decision:
        """Make the decision of a denial."""
        fields = (*denied.fields, *self.response_fields)
        return Decision(denied.reason, denied.detail, self.control, fields, self, denied.answer)
