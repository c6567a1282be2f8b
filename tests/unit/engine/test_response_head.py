import pytest

from gateway.engine.gate import Handling
from gateway.engine.problem import Answer
from gateway.engine.response_head import ResponseFields, answer_bytes, response_bytes, signed_bytes, status_line
from tests import world
from tests.unit.engine.gates import Made


@pytest.fixture
async def handling() -> Handling:
    """A request whose chain adds no fields to the response."""
    return await Made(policy=world.policy(world.route(chain=world.chain(rate_limit=None)))).allowed()


def split(raw: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = raw.partition(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")
    return line, dict(field.split(": ", 1) for field in fields), body


@pytest.mark.parametrize(
    ("status", "line"),
    [(200, "HTTP/1.1 200 OK\r\n"), (418, "HTTP/1.1 418 I'm a Teapot\r\n"), (299, "HTTP/1.1 299 \r\n")],
)
def test_the_phrase_is_our_own(status: int, line: str) -> None:
    assert status_line(status) == line


async def test_a_response_of_a_declared_length_goes_out_as_it_came(handling: Handling) -> None:
    fields = [(b"Content-Type", b"text/plain"), (b"Content-Length", b"5"), (b"X-A", b"\xe9")]
    raw, chunked = response_bytes(200, ResponseFields(fields), handling, bodiless=False, close=False)
    assert not chunked
    assert split(raw) == (
        "HTTP/1.1 200 OK",
        {
            "Content-Type": "text/plain",
            "Content-Length": "5",
            "X-A": "é",
            "x-gateway-request-id": handling.request_id,
        },
        b"",
    )


@pytest.mark.parametrize("fields", [[(b"transfer-encoding", b"chunked")], []], ids=["chunked", "until close"])
async def test_a_response_without_a_length_goes_out_in_chunks(
    handling: Handling, fields: list[tuple[bytes, bytes]]
) -> None:
    raw, chunked = response_bytes(200, ResponseFields(fields), handling, bodiless=False, close=False)
    assert chunked
    assert split(raw)[1]["transfer-encoding"] == "chunked"
    assert raw.count(b"transfer-encoding") == 1


async def test_a_response_without_a_body_declares_none(handling: Handling) -> None:
    raw, chunked = response_bytes(204, ResponseFields(), handling, bodiless=True, close=False)
    assert not chunked
    assert list(split(raw)[1]) == ["x-gateway-request-id"]


async def test_hop_by_hop_fields_end_here_and_the_gates_own_count(handling: Handling) -> None:
    fields = [
        (b"Connection", b"keep-alive, X-Hop"), (b"Keep-Alive", b"timeout=5"), (b"X-Hop", b"1"),
        (b"Content-Length", b"0"), (b"X-Gateway-Request-Id", b"forged"),
    ]  # fmt: skip
    raw, _ = response_bytes(200, ResponseFields(fields), handling, bodiless=False, close=False)
    assert split(raw)[1] == {"Content-Length": "0", "x-gateway-request-id": handling.request_id}


async def test_a_response_carries_what_the_chain_adds() -> None:
    handling = await Made().allowed()
    raw, _ = response_bytes(200, ResponseFields([(b"RateLimit", b"forged")]), handling, bodiless=True, close=False)
    assert split(raw)[1]["ratelimit"] == '"50-per-second";r=49;t=1'
    assert raw.lower().count(b"\r\nratelimit:") == 1


@pytest.mark.parametrize("close", [False, True])
async def test_the_client_is_told_that_the_connection_ends(handling: Handling, close: bool) -> None:
    raw, _ = response_bytes(200, ResponseFields([(b"connection", b"close")]), handling, bodiless=True, close=close)
    assert split(raw)[1].get("connection") == ("close" if close else None)


@pytest.mark.parametrize("close", [False, True])
@pytest.mark.parametrize("bodiless", [False, True])
def test_an_answer_of_the_gates_own_is_whole(close: bool, bodiless: bool) -> None:
    answer = Answer(403, (("content-type", "application/problem+json"),), b"{}")
    line, fields, body = split(answer_bytes(answer, close=close, bodiless=bodiless))
    assert (line, fields.pop("content-type")) == ("HTTP/1.1 403 Forbidden", "application/problem+json")
    assert fields == {"content-length": "2"} | ({"connection": "close"} if close else {})
    assert body == (b"" if bodiless else b"{}")


@pytest.mark.parametrize(("close", "end"), [(False, ""), (True, "connection: close\r\n")])
def test_a_signed_answer_is_written_as_it_was_signed(close: bool, end: str) -> None:
    fields = [("X-A", "\xe9"), ("content-length", "2")]
    raw = f"HTTP/1.1 200 OK\r\nX-A: \xe9\r\ncontent-length: 2\r\n{end}\r\nok".encode("latin-1")
    assert signed_bytes(200, fields, b"ok", close=close) == raw
