"""An addon that changes what was verified: nothing is forwarded but what the controls have seen, plus new fields."""

from pathlib import Path

import pytest

from gateway.core.reasons import Reason
from tests.engine.addons import PROTOCOLS, detail, post, script
from tests.engine.harness import get, running

pytestmark = pytest.mark.layers

EDITS = [
    ('flow.request.method = "PUT"', "it changed the method"),
    ('flow.request.path = "/v1/admin"', "it changed the path"),
    ('flow.request.query["a"] = "1"', "it changed the path"),
    ('flow.request.host = "evil.example"', "it changed the host"),
    ('flow.request.data.host = "evil.example"', "it changed the host"),
    ("flow.request.port = 444", "it changed the port"),
    ('flow.request.scheme = "http"', "it changed the scheme"),
    ('flow.request.authority = "evil.example"', "it changed the authority"),
    ('flow.request.http_version = "HTTP/3"', "it changed the version"),
    ('flow.request.content = b"{}"', "it changed the body"),
    ('flow.request.content += b" "', "it changed the body"),
    ('flow.request.text = flow.request.text.replace("2500", "9900")', "it changed the body"),
    ("flow.request.data.content = None", "it changed the body"),
    ('flow.request.trailers = http.Headers(a="1")', "it changed the trailers"),
    ("flow.request.stream = lambda data: data", "it changed the stream"),
    ('flow.server_conn.address = ("evil.example", 443)', "it changed the upstream"),
    ('flow.server_conn.via = ("http", ("evil.example", 80))', "it changed the upstream"),
    (
        'from mitmproxy.connection import Server; flow.server_conn = Server(address=("psp", 0))',
        "it changed the upstream",
    ),
    ('flow.request = http.Request.make("POST", "https://evil.example/")', "it changed the host"),
]
FIELDS = [
    ('flow.request.headers["x-gateway-partner"] = "blue-bingo"', "it changed the field x-gateway-partner"),
    ('flow.request.headers.add("X-Gateway-Partner", "blue-bingo")', "it changed the field x-gateway-partner"),
    ('del flow.request.headers["x-gateway-partner"]', "it changed the field x-gateway-partner"),
    ('flow.request.headers["x-gateway-role"] = "admin"', "it added the field x-gateway-role"),
    ('flow.request.headers["x-forwarded-for"] = "192.0.2.1"', "it changed the field x-forwarded-for"),
    ('flow.request.headers["x-forwarded-host"] = "evil.example"', "it added the field x-forwarded-host"),
    ('flow.request.headers["forwarded"] = "for=127.0.0.1"', "it added the field forwarded"),
    ('flow.request.headers["x-signature"] = "00"', "it changed the field x-signature"),
    ('flow.request.headers["x-nonce"] = "other"', "it changed the field x-nonce"),
    ('flow.request.headers["authorization"] = "Bearer other"', "it changed the field authorization"),
    ('flow.request.headers["host"] = "evil.example"', "it changed the field host"),
    ('flow.request.headers["content-type"] = "text/plain"', "it changed the field content-type"),
    ('flow.request.headers["content-length"] = "2"', "it changed the field content-length"),
    ('flow.request.headers["content-encoding"] = "gzip"', "it added the field content-encoding"),
    ('flow.request.headers["transfer-encoding"] = "chunked"', "it added the field transfer-encoding"),
    ('flow.request.headers["connection"] = "x-gateway-partner"', "it added the field connection"),
    ('flow.request.headers["te"] = "trailers"', "it added the field te"),
    ('flow.request.headers["expect"] = "100-continue"', "it added the field expect"),
    ('flow.request.headers["cookie"] = "a=1"', "it added the field cookie"),
    ("flow.request.headers.clear()", "it changed the field authorization"),
    ("flow.request.headers = http.Headers(reversed(flow.request.headers.fields))", "it changed the field order"),
    ('flow.request.headers["x-a"] = "1\\r\\nx-gateway-partner: blue-bingo"', "a value that is not valid"),
    ('flow.request.headers["x-a"] = "1\\n"', "a value that is not valid"),
    ('flow.request.headers["x-a"] = "1\\0"', "a value that is not valid"),
    ('flow.request.headers["x-a"] = " 1"', "a value that is not valid"),
    ('flow.request.headers["x-a: 1\\r\\nx-b"] = "1"', "it added a field whose name is not valid"),
    ('flow.request.headers["x_gateway_partner"] = "1"', "it added a field whose name is not valid"),
    ('flow.request.headers[""] = "1"', "it added a field whose name is not valid"),
    ('flow.request.headers["x-a"] = "1" * 9000', "it added more than 8192 bytes of fields"),
]


@pytest.mark.parametrize(("line", "words"), [*EDITS, *FIELDS])
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_edit_denies(tmp_path: Path, protocol: str, line: str, words: str) -> None:
    async with running(tmp_path, addons=[script(tmp_path, f"def request(flow): {line}")]) as up:
        response = await post(up, protocol)

        assert (response.status, response.code) == (503, "addon.changed")
        assert (up.decided, up.upstream.untouched) == ([Reason.ADDON_CHANGED], True)
        assert detail(up).startswith("addon addon.py, request: ")
        assert detail(up).endswith(words)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_edit_in_the_first_hook_denies_too(tmp_path: Path, protocol: str) -> None:
    text = """
        def requestheaders(flow):
            flow.request.path = "/v1/admin"
        def request(flow):
            flow.request.path = "/v1/deposits"
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        assert (await post(up, protocol)).code == "addon.changed"
        assert detail(up) == "addon addon.py, requestheaders: it changed the path"


@pytest.mark.parametrize(
    "line",
    [
        "flow.request = None",
        "flow.request = 1",
        "flow.request.data.headers = None",
        "flow.server_conn = None",
        "flow.request.data.headers.fields = 1",
        "flow.response = 1",
        "flow.request.data.headers.fields = ((1, 2),)",
    ],
)
async def test_what_is_no_flow_any_more_denies(tmp_path: Path, line: str) -> None:
    async with running(tmp_path, addons=[script(tmp_path, f"def request(flow): {line}")]) as up:
        assert (await up.send(get())).status in (403, 503)
        assert up.decided[0] in (Reason.CONTROL_FAILED, Reason.ADDON_CHANGED, Reason.ADDON_DENIED)
        assert up.upstream.untouched


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_change_after_the_hook_has_returned_reaches_nobody(tmp_path: Path, protocol: str) -> None:
    text = """
        import asyncio
        kept = []
        def request(flow):
            kept.append(flow)
            asyncio.get_running_loop().call_soon(change)
        def change():
            flow = kept[-1]
            flow.request.path = "/v1/admin"
            flow.request.headers["x-gateway-partner"] = "blue-bingo"
            flow.request.headers["x-late"] = "1"
            flow.request.content = b"{}"
            flow.client_conn.alpn = b"h3"
            seen.append(1)
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        assert (await post(up, protocol)).status == 200
        sent = dict(up.upstream.fields())
        assert up.upstream.heads[0].startswith(b"POST /v1/deposits HTTP/1.1\r\n")
        assert sent["x-gateway-partner"] == "acme-casino"
        assert "x-late" not in sent


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_answer_in_the_metadata_lifts_nothing(tmp_path: Path, protocol: str) -> None:
    text = """
        def request(flow):
            flow.metadata.clear()
            flow.metadata["gateway.handling"] = flow.metadata["gateway.head"] = None
            flow.client_conn.error = None
            flow.live = False
            flow.id = "x"
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        assert (await post(up, protocol)).status == 200
        assert up.decided == [Reason.ALLOWED]
