from typing import Any, cast

import pytest
from mitmproxy import http
from mitmproxy.connection import Client

from gateway.core.reasons import Reason
from gateway.engine import translate
from gateway.engine.gate import Handling
from gateway.engine.user_addons import Part, UserAddons
from gateway.engine.user_flows import AddonFlow, AddonsHook, control_of
from tests import world
from tests.unit.engine.gates import Made, decided


class Addons:
    """User addons without scripts: one part for each dictionary of hooks."""

    def __init__(self, *hooks: dict[str, Any]) -> None:
        self.parts = tuple(Part(f"{number}.py", one) for number, one in enumerate(hooks))
        self.wrong: str | None = None

    having = UserAddons.having

    async def call(self, part: Part, hook: str, flow: http.HTTPFlow) -> str | None:
        part.hooks[hook](flow)
        return self.wrong


def received(made: world.World) -> http.Request:
    return http.Request(
        host="", port=0, method=made.method, scheme=b"https", authority=b"", path=made.target,
        http_version=b"HTTP/1.1", headers=http.Headers(made.raw_fields()), content=made.body, trailers=None,
        timestamp_start=1.0, timestamp_end=2.0,
    )  # fmt: skip


def shown(handling: Handling, addons: Addons, made: world.World | None = None) -> AddonFlow:
    client = Client(peername=("198.51.100.7", 50_000), sockname=("127.0.0.1", 8443))
    return AddonFlow(cast("UserAddons", addons), client, handling, received(made or world.World()))


@pytest.fixture
async def handling() -> Handling:
    return await decided(Made())


def answer(*fields: tuple[bytes, bytes]) -> http.Response:
    upstreams = http.Response.make(200, b"", http.Headers(fields))
    return translate.response_to_client(upstreams, world.World().head(), [("x-gateway-request-id", "1")], close=False)


def nothing(_: http.HTTPFlow) -> None:
    """See, and go on."""


def kill(flow: http.HTTPFlow) -> None:
    flow.kill()


# The request


async def test_only_an_allowed_request_is_shown() -> None:
    denied = await decided(Made(), world.World(fields={"authorization": None}))
    with pytest.raises(RuntimeError, match="only what the core has allowed"):
        shown(denied, Addons())
    with pytest.raises(RuntimeError):
        shown(Made().handling(), Addons())


async def test_a_request_is_refused_until_all_addons_were_asked(handling: Handling) -> None:
    flow = shown(handling, Addons({"request": nothing}))
    assert flow.refusal is not None
    assert flow.refusal.reason is Reason.CONTROL_FAILED
    await flow.ask()
    assert flow.refusal is None
    assert handling.decision is not None
    assert handling.decision.exchange.passed[-1] == "addon:0.py"


async def test_addons_without_hooks_of_requests_are_not_told_to_have_passed_one(handling: Handling) -> None:
    await shown(handling, Addons({"error": nothing}, {"requestheaders": nothing})).ask()
    assert handling.decision is not None
    assert [name for name in handling.decision.exchange.passed if name.startswith("addon:")] == ["addon:1.py"]


async def test_a_refusal_names_addon_and_hook(handling: Handling) -> None:
    flow = shown(handling, Addons({"request": nothing}, {"requestheaders": kill}))
    await flow.ask()
    assert flow.refusal is not None
    assert (flow.refusal.reason, flow.refusal.detail) == (
        Reason.ADDON_DENIED, "addon 1.py, requestheaders: it killed the flow",
    )  # fmt: skip
    assert handling.deny(flow.refusal).control == "addon:1.py requestheaders"


async def test_a_hook_that_fails_denies(handling: Handling) -> None:
    addons = Addons({"request": nothing})
    addons.wrong = "OSError at request (0.py:1)"
    flow = shown(handling, addons)
    await flow.ask()
    assert flow.refusal is not None
    assert (flow.refusal.reason, flow.refusal.detail) == (Reason.CONTROL_FAILED, f"addon 0.py, request: {addons.wrong}")
    assert list(handling.gate.health.failing) == ["addon:0.py request"]
    addons.wrong = None
    await flow.ask()
    assert handling.gate.health.failing == {}


@pytest.mark.parametrize(
    ("authority", "host", "port"),
    [
        ("api.psp.example", "api.psp.example", 443),
        ("api.psp.example:8443", "api.psp.example", 8443),
        ("[::1]", "::1", 443),
        ("[::1]:444", "::1", 444),
    ],
)
async def test_the_flow_has_the_host_that_the_caller_named(authority: str, host: str, port: int) -> None:
    made = world.World(fields={"host": authority})
    flow = shown(await decided(Made(), made), Addons(), made).flow
    assert (flow.request.host, flow.request.port, flow.request.scheme) == (host, port, "https")
    assert flow.request.headers["host"] == authority


async def test_what_was_added_is_told_by_name_alone(handling: Handling) -> None:
    def adds(flow: http.HTTPFlow) -> None:
        flow.request.headers["x-b"] = "secret-7f3a"
        flow.request.headers["x-a"] = "1"
        flow.comment = "known"

    flow = shown(handling, Addons({"request": adds}))
    await flow.ask()
    assert flow.added == [("x-b", "secret-7f3a"), ("x-a", "1")]
    assert flow.notes == "added to the request: x-a, x-b; comment: known"


async def test_without_a_comment_nothing_is_told_of_it(handling: Handling) -> None:
    flow = shown(handling, Addons())
    await flow.ask()
    flow.flow.comment = cast("str", 7)
    assert flow.notes == ""


# The answer


async def test_an_answer_is_withheld_until_all_addons_were_asked(handling: Handling) -> None:
    flow = shown(handling, Addons())
    await flow.ask()
    flow.show_answer(answer((b"server", b"u")), frozenset())
    assert flow.refusal is not None
    assert flow.refusal.reason is Reason.ADDON_WITHHELD
    await flow.ask_about_answer()
    assert flow.refusal is None
    assert flow.fields[0] == ("server", "u")
    assert flow.notes == ""


async def test_edits_of_several_addons_add_up(handling: Handling) -> None:
    def removes(flow: http.HTTPFlow) -> None:
        assert flow.response is not None
        del flow.response.headers["server"]

    def adds(flow: http.HTTPFlow) -> None:
        assert flow.response is not None
        assert "server" not in flow.response.headers
        flow.response.headers["x-a"] = "1"

    flow = shown(handling, Addons({"responseheaders": removes}, {"responseheaders": adds}))
    flow.show_answer(answer((b"server", b"u"), (b"date", b"d")), frozenset({"x-gateway-request-id"}))
    await flow.ask_about_answer()
    assert [name for name, _ in flow.fields if name not in ("content-length", "x-gateway-request-id")] == [
        "date",
        "x-a",
    ]
    assert flow.notes == "changed in the answer: server, x-a"


async def test_the_answer_shown_is_not_the_one_that_is_sent(handling: Handling) -> None:
    real = answer((b"server", b"u"))
    flow = shown(handling, Addons({"response": lambda flow: flow.response.headers.clear()}))
    flow.show_answer(real, frozenset())
    await flow.tell_of_answer()
    assert real.headers["server"] == "u"
    assert "discarded" in flow.notes


# Hooks


async def test_an_error_is_told_and_changes_nothing(handling: Handling) -> None:
    seen: list[str] = []
    flow = shown(handling, Addons({"error": lambda flow: seen.append(flow.error.msg)}))
    await flow.tell_of_error("upstream gone")
    assert seen == ["upstream gone"]


async def test_the_hook_that_layers_wait_for_runs_what_it_was_given() -> None:
    ran: list[int] = []

    async def run() -> None:
        ran.append(1)

    hook = AddonsHook(run)
    assert hook.blocking
    await hook.run()
    assert ran == [1]


def test_a_hook_is_named_among_the_controls() -> None:
    assert control_of(Part("limit.py:Limit", {}), "request") == "addon:limit.py:Limit request"
