"""One allowed request as user addons see it, and the second look at what they did to it.

1. the core has allowed the request, and nothing of it is recorded or forwarded; the addons see a flow made for them
2. after each hook of each addon the flow is compared with what it was: an answer or a kill denies, an edit that is
   not the addon's to make denies, a new field is taken along
3. only where all of them are done is `refusal` None; it begins as a denial, so that a hook nobody called denies too
4. the upstream's answer goes the same way: its fields may be edited, and it may be withheld
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ClassVar

from mitmproxy import http
from mitmproxy.connection import Client, Server
from mitmproxy.flow import Error
from mitmproxy.proxy.commands import StartHook

from gateway.core.exchange import Exchange, failure
from gateway.core.forwarding import upstream_fields
from gateway.core.reasons import Denied, Reason
from gateway.engine import translate
from gateway.engine.gate import Handling
from gateway.engine.user_addons import ON_REQUEST, Part, UserAddons
from gateway.engine.user_edits import (
    ForbiddenEdit,
    added_to_request,
    changed_in_response,
    check_parts,
    names_of_changes,
    request_parts,
    response_parts,
)

logger = logging.getLogger(__name__)

HTTPS = 443


@dataclass
class AddonsHook(StartHook):
    """Has a layer wait until the addons were called."""

    run: Callable[[], Awaitable[None]]
    name: ClassVar[str] = "gateway_user_addons"


class AddonFlow:
    """The flow of an allowed request, and what the addons did to it.

    It is theirs alone: the stream takes `refusal`, `added`, `fields` and `notes`, and nothing else of it.
    """

    def __init__(self, addons: UserAddons, client: Client, handling: Handling, received: http.Request) -> None:
        """Make the flow of a request whose core has allowed it; `received` has its body."""
        decision = handling.decision
        if decision is None or not decision.allowed or decision.exchange.route is None:
            raise RuntimeError("addons see only what the core has allowed")
        self._addons = addons
        self._handling = handling
        self._exchange: Exchange = decision.exchange
        self._own: frozenset[str] = frozenset()
        self._fields: tuple[tuple[bytes, bytes], ...] = ()
        """Fields of the answer before the addons saw it."""
        self._notes: list[str] = []
        self._server = Server(address=(decision.exchange.route.upstream.name, 0))
        """Names the upstream; the connection that will carry the request is the stream's."""
        self._address = self._server.address
        self.flow = http.HTTPFlow(client, self._server, live=True)
        self.flow.request = _request(handling.request_id, decision.exchange, received)
        self.flow.metadata.update(_facts(handling.request_id, decision.exchange))
        self._before = request_parts(self.flow.request)
        self._lines = self.flow.request.data.headers.fields
        self.refusal: Denied | None = Denied(Reason.CONTROL_FAILED, "the addons were not called")
        """Why the request, or then its answer, goes no further; None where it may."""
        self.added: list[tuple[str, str]] = []
        """Fields to add to the request towards upstream."""
        self.fields: list[tuple[str, str]] = []
        """Fields of the answer as the addons leave them."""

    @property
    def notes(self) -> str:
        """What the outcome's record says of the addons: fields, comments, and what failed when it was too late."""
        comment = self.flow.comment
        return "; ".join([*self._notes, f"comment: {comment}"] if comment and isinstance(comment, str) else self._notes)

    async def ask(self) -> None:
        """Have the addons look at the request."""
        for hook in ON_REQUEST:
            for part in self._addons.having(hook):
                refusal = await self._call(part, hook, Reason.ADDON_DENIED, Reason.CONTROL_FAILED, self._check_request)
                if refusal is not None:
                    self._exchange.control = control_of(part, hook)  # which the record of the denial names
                    self.refusal = refusal
                    return
        asked = [part.control for part in self._addons.parts if not part.hooks.keys().isdisjoint(ON_REQUEST)]
        self._exchange.passed.extend(asked)
        if self.added:
            self._notes.append("added to the request: " + ", ".join(sorted({name for name, _ in self.added})))
        self.refusal = None

    def show_answer(self, response: http.Response, own: frozenset[str]) -> None:
        """Take the answer as it would go to the client; fields named in `own` (lower case) are the gate's."""
        self.refusal = Denied(Reason.ADDON_WITHHELD, "the addons were not called")
        self.flow.response = response.copy()
        self._before = response_parts(self.flow.response)
        self._own = own
        self._fields = self._lines = self.flow.response.data.headers.fields
        self.fields = [(name.decode("ascii"), value.decode("latin-1")) for name, value in self._fields]

    async def ask_about_answer(self) -> None:
        """Have the addons look at the answer's head, before anything of it goes to the client."""
        for part in self._addons.having("responseheaders"):
            withheld = Reason.ADDON_WITHHELD
            refusal = await self._call(part, "responseheaders", withheld, withheld, self._check_answer)
            if refusal is not None:
                self.refusal = refusal
                return
        changed = names_of_changes(self._fields, self._lines)
        if changed:
            self._notes.append("changed in the answer: " + ", ".join(changed))
        self.refusal = None

    async def tell_of_answer(self) -> None:
        """Tell the addons that the answer has gone to the client whole; its body was never theirs to see."""
        for part in self._addons.having("response"):
            refusal = await self._call(
                part, "response", Reason.ADDON_WITHHELD, Reason.CONTROL_FAILED, self._check_nothing
            )
            if refusal is not None:
                self._notes.append(refusal.detail)
        response = self.flow.response
        if response is None or (response_parts(response), response.data.headers.fields) != (self._before, self._lines):
            self._notes.append("an addon changed the answer after it had gone to the client: discarded")

    async def tell_of_error(self, words: str) -> None:
        """Tell the addons that a request they saw came to nothing."""
        self.flow.error = Error(words)
        for part in self._addons.having("error"):
            await self._call(part, "error", Reason.ADDON_WITHHELD, Reason.CONTROL_FAILED, self._check_nothing)

    async def _call(
        self, part: Part, hook: str, refused: Reason, failed: Reason, check: Callable[[], str | None]
    ) -> Denied | None:
        """Call a hook and look at what it did; gives what follows from it."""
        who = f"addon {part.name}, {hook}"
        wrong = await self._addons.call(part, hook, self.flow)
        if wrong is None:
            try:
                words = check()
            except ForbiddenEdit as edit:
                changed = Reason.ADDON_CHANGED if refused is Reason.ADDON_DENIED else refused
                return Denied(changed, f"{who}: {edit}")
            except Exception as error:  # noqa: BLE001 - a part was replaced by what is no such part
                wrong = failure(error).detail
                logger.error("addon %s, %s: %s", part.name, hook, wrong)  # noqa: TRY400 - its words may quote a body
            else:
                self._tell_health(part, hook, None)
                return None if words is None else Denied(refused, f"{who}: {words}{self._because}")
        self._tell_health(part, hook, wrong)
        return Denied(failed, f"{who}: {wrong}")

    @property
    def _because(self) -> str:
        return f" ({self.flow.comment})" if self.flow.comment else ""

    def _tell_health(self, part: Part, hook: str, wrong: str | None) -> None:
        health, now, facts = self._handling.gate.health, self._exchange.now, self._handling.in_force.facts
        if wrong is not None:
            health.failed(control_of(part, hook), wrong, now, facts)
        elif health.failing:
            health.worked([control_of(part, hook)], now, facts)

    def _check_request(self) -> str | None:
        """Tell how the addon refused the request. Raises ForbiddenEdit."""
        if self.flow.error is not None:
            return "it killed the flow"
        if self.flow.response is not None:
            return f"it answered with status {self.flow.response.status_code}"
        self._check_server()
        check_parts(self._before, request_parts(self.flow.request))
        covered = self._exchange.policy.identity.covers
        self.added = added_to_request(self._lines, self.flow.request.data.headers.fields, covered)
        return None

    def _check_answer(self) -> str | None:
        """Tell how the addon refused the answer. Raises ForbiddenEdit."""
        if self.flow.error is not None:
            return "it killed the flow"
        if self.flow.response is None:
            raise ForbiddenEdit("it removed the answer")
        self._check_server()
        check_parts(self._before, response_parts(self.flow.response))
        covered = self._exchange.policy.identity.covers
        lines = self.flow.response.data.headers.fields
        self.fields = changed_in_response(self._fields, lines, lambda name: name in self._own or covered(name))
        self._lines = lines
        return None

    def _check_nothing(self) -> None:
        """Nothing is left to be refused."""

    def _check_server(self) -> None:
        server = self.flow.server_conn
        if server is not self._server or (server.address, server.via) != (self._address, None):
            raise ForbiddenEdit("it changed the upstream")


def control_of(part: Part, hook: str) -> str:
    """Name a hook among the controls that may fail."""
    return f"{part.control} {hook}"


def _request(request_id: str, exchange: Exchange, received: http.Request) -> http.Request:
    """Write the request as the upstream will get it, with the host that the caller named."""
    head = exchange.request
    port = head.authority.removeprefix(head.host).rpartition(":")[2]
    made = translate.request_to_upstream(
        received, head, head.host.strip("[]"), upstream_fields(exchange, request_id), received.data.content or b""
    )
    made.data.scheme = b"https"
    made.data.port = int(port) if port.isdecimal() else HTTPS
    return made


def _facts(request_id: str, exchange: Exchange) -> dict[str, str]:
    """Give what the core verified, as text, for the flow's metadata."""
    route, partner, claims = exchange.route, exchange.partner, exchange.claims
    facts = {
        "gateway.request_id": request_id,
        "gateway.route": None if route is None else route.name,
        "gateway.partner": None if partner is None else partner.name,
        "gateway.token_subject": None if claims is None else claims.subject,
        "gateway.client_address": str(exchange.client_address),
    }
    return {name: value for name, value in facts.items() if value is not None}
