"""User addons and the upstream's answer: its fields may be edited, and it may be withheld; nothing else is theirs."""

from pathlib import Path

import pytest

from gateway.core.reasons import Reason
from tests.engine.addons import PROTOCOLS, detail, post, scope, script
from tests.engine.harness import Running, get, read_response, running, until
from tests.engine.upstream import answers, hangs

pytestmark = pytest.mark.layers

each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)

ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nserver: upstream/1.0\r\n"
    b'set-cookie: a=1\r\nset-cookie: b=2\r\ncontent-length: 15\r\n\r\n{"status":"ok"}'
)


def withheld(up: Running, words: str) -> None:
    """Check that the upstream acted, and that its answer went nowhere."""
    assert (up.decided, up.finished) == ([Reason.ALLOWED], [Reason.ADDON_WITHHELD])
    assert len(up.upstream.requests) == 1
    assert detail(up, "outcome") == f"addon addon.py, responseheaders: {words}"


@each_protocol
async def test_fields_of_an_answer_may_be_edited(tmp_path: Path, protocol: str) -> None:
    text = """
        def responseheaders(flow):
            del flow.response.headers["server"]
            flow.response.headers["content-type"] = "application/json; charset=utf-8"
            flow.response.headers["Strict-Transport-Security"] = "max-age=31536000"
            flow.response.headers.set_all("set-cookie", ["b=2"])
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        up.upstream.answer = ANSWER

        response = await post(up, protocol)

        assert (response.status, response.body) == (200, b'{"status":"ok"}')
        assert "server" not in response.fields
        assert response.fields["content-type"] == "application/json; charset=utf-8"
        assert response.fields["strict-transport-security"] == "max-age=31536000"
        assert [value for name, value in response.lines if name == "set-cookie"] == ["b=2"]
        assert response.fields["x-gateway-request-id"] == up.upstream.request_ids[0]
        await up.until_finished()
        assert detail(up, "outcome") == (
            "changed in the answer: content-type, server, set-cookie, strict-transport-security"
        )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("flow.response.status_code = 500", "it changed the status"),
        ('flow.response.reason = "Fine"', "it changed the status"),
        ('flow.response.content = b"{}"', "it changed the body"),
        ('flow.response.text = "{}"', "it changed the body"),
        ("flow.response.stream = lambda data: data", "it changed the stream"),
        ('flow.response.http_version = "HTTP/3"', "it changed the version"),
        ('flow.response.trailers = http.Headers(a="1")', "it changed the trailers"),
        ('flow.response = http.Response.make(200, b"forged")', "it changed the body"),
        ("flow.response = None", "it removed the answer"),
        ("flow.kill()", "it killed the flow"),
        ('del flow.response.headers["content-length"]', "it changed the field content-length"),
        ('flow.response.headers["content-length"] = "2"', "it changed the field content-length"),
        ('flow.response.headers["transfer-encoding"] = "chunked"', "it changed the field transfer-encoding"),
        ('flow.response.headers["content-encoding"] = "gzip"', "it changed the field content-encoding"),
        ('flow.response.headers["x-gateway-request-id"] = "1"', "it changed the field x-gateway-request-id"),
        ('flow.response.headers["x-gateway-partner"] = "1"', "it changed the field x-gateway-partner"),
        ('flow.response.headers["x-a"] = "1\\r\\nx-b: 2"', "it gave the field x-a a value that is not valid"),
        ('flow.response.headers["x a"] = "1"', "it added a field whose name is not valid"),
        ('flow.response.headers["x-a"] = "1" * 9000', "it added more than 8192 bytes of fields"),
        ('flow.server_conn.address = ("evil.example", 443)', "it changed the upstream"),
    ],
)
@each_protocol
async def test_everything_else_withholds_the_answer(tmp_path: Path, protocol: str, line: str, words: str) -> None:
    async with running(tmp_path, addons=[script(tmp_path, f"def responseheaders(flow): {line}")]) as up:
        up.upstream.answer = ANSWER

        response = await post(up, protocol)

        assert (response.status, response.code) == (502, "addon.withheld")
        await up.until_finished()
        withheld(up, words)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 204 No Content\r\n\r\n", ANSWER])
async def test_to_stream_the_body_is_what_the_gate_does_anyway(tmp_path: Path, answer: bytes) -> None:
    text = """
        def responseheaders(flow):
            assert flow.response.raw_content is None
            flow.response.stream = True
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        up.upstream.answer = answer
        assert (await up.send(get())).status in (200, 204)


@each_protocol
async def test_a_hook_that_raises_withholds_the_answer(tmp_path: Path, protocol: str) -> None:
    async with running(tmp_path, addons=[script(tmp_path, "def responseheaders(flow): 1 / seen[0]")]) as up:
        response = await post(up, protocol)

        assert (response.status, response.code) == (502, "addon.withheld")
        await up.until_finished()
        withheld(up, "IndexError at responseheaders (addon.py:3)")
        assert up.records("control.failed")[0]["unmapped"]["control"] == "addon:addon.py responseheaders"


async def test_an_answer_that_is_withheld_ends_its_upstream_connection_alone(tmp_path: Path) -> None:
    text = """
        def responseheaders(flow):
            if not seen:
                seen.append(1)
                flow.kill()
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        reader, writer = await up.connect()
        for status in (502, 200):
            writer.write(get())
            assert (await read_response(reader)).status == status
        assert up.upstream.connections == 2


@each_protocol
async def test_a_client_that_leaves_while_addons_look_at_the_answer(tmp_path: Path, protocol: str) -> None:
    text = """
        import asyncio
        go_on = asyncio.Event()
        async def responseheaders(flow):
            seen.append(flow)
            await go_on.wait()
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        if protocol == "1.1":
            _, writer = await up.connect()
            writer.write(get())
        else:
            from tests.engine.http2 import Http2Client  # noqa: PLC0415

            client = await Http2Client(up).__aenter__()
            client.post()
            writer = client.writer
        await until(lambda: scope(up)["seen"])
        writer.close()
        await until(lambda: not next(iter(up.master.handlers)).client.connected)  # type: ignore[union-attr]
        scope(up)["go_on"].set()

        await up.until_finished()

        assert up.finished == [Reason.CLIENT_CLOSED]


# The end


@each_protocol
async def test_what_an_addon_does_when_the_answer_has_gone_is_told_of_and_changes_nothing(
    tmp_path: Path, protocol: str
) -> None:
    text = """
        def response(flow):
            flow.response.headers["x-late"] = "1"
            flow.response.text = "forged"
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        response = await post(up, protocol)
        await up.until_finished()

        assert (response.status, response.body) == (200, b'{"status":"ok"}')
        assert "x-late" not in response.fields
        assert up.finished == [Reason.ALLOWED]
        assert detail(up, "outcome") == "an addon changed the answer after it had gone to the client: discarded"


@each_protocol
async def test_a_hook_that_raises_when_the_answer_has_gone_is_recorded(tmp_path: Path, protocol: str) -> None:
    async with running(tmp_path, addons=[script(tmp_path, "def response(flow): raise OSError")]) as up:
        assert (await post(up, protocol)).status == 200
        await up.until_finished()

        assert up.finished == [Reason.ALLOWED]
        assert detail(up, "outcome") == "addon addon.py, response: OSError at response (addon.py:3)"
        assert up.records("control.failed")[0]["unmapped"]["control"] == "addon:addon.py response"


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ((b"no HTTP\r\n\r\n",), "no status line (RFC 9112 4)"),
        ((ANSWER[:-3],), "it closed the connection within its answer"),
    ],
)
async def test_an_addon_is_told_of_a_request_that_came_to_nothing(
    tmp_path: Path, pieces: tuple[bytes, ...], words: str
) -> None:
    text = """
        async def error(flow):
            seen.append(flow.error.msg)
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        up.upstream.behaviour = answers(*pieces, close=True)
        reader, writer = await up.connect()
        writer.write(get())
        await until(lambda: scope(up)["seen"])
        assert scope(up)["seen"] == [words]
        await up.until_finished()
        assert up.finished == [Reason.UPSTREAM_BROKEN]
        writer.close()
        del reader


async def test_an_addon_is_told_of_a_client_that_left(tmp_path: Path) -> None:
    text = """
        def error(flow):
            seen.append(flow.error.msg)
            raise ZeroDivisionError
    """
    async with running(tmp_path, addons=[script(tmp_path, text)]) as up:
        up.upstream.behaviour = hangs()
        _, writer = await up.connect()
        writer.write(get())
        await until(lambda: up.upstream.requests)
        writer.close()
        await until(lambda: scope(up)["seen"])
        assert up.finished == [Reason.CLIENT_CLOSED]
