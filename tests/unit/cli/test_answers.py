from pathlib import Path

import click
import pytest

from gateway.cli.answers import answer_keys, response_in, verify_answer
from gateway.cli.messages import Message
from tests import messages, world
from tests.engine.services import Folder
from tests.messages import NOW, WINDOW

GET = Message(messages.head(method="GET", body=b""), b"")
HEAD = Message(messages.head(method="HEAD", body=b""), b"")
RAW = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A:  1\r\n\r\nok"


@pytest.mark.parametrize("raw", [RAW, RAW.replace(b"\r\n", b"\n"), RAW + b"\n"])
def test_an_answer_in_a_file(raw: bytes) -> None:
    response, body = response_in(raw, GET)
    assert (response.status, response.headers.single("x-a"), body) == (200, "1", b"ok")
    assert response.request is not None
    assert response.request.method == "GET"


def test_an_answer_to_head_has_no_body_whatever_it_says() -> None:
    raw = RAW.removesuffix(b"ok")
    assert response_in(raw, HEAD)[1] == b""
    assert response_in(raw.replace(b"200", b"304"), GET)[1] == b""


@pytest.mark.parametrize("raw", [b"", b"200 OK\n\n", b"HTTP/1.1 OK\n\n", b"HTTP/1.1\n"])
def test_what_is_no_answer(raw: bytes) -> None:
    with pytest.raises(click.UsageError, match="status line"):
        response_in(raw, GET)


def test_an_answer_in_chunks_with_trailers() -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"
    response, body = response_in(raw, GET)
    assert (body, response.trailers and response.trailers.fields) == (b"ok", (("x-sum", "1"),))


def test_an_answer_without_signature(capsys: pytest.CaptureFixture[str]) -> None:
    response, body = response_in(RAW, GET)
    assert not verify_answer(messages.scheme(), response, body, lambda _: {}, WINDOW, NOW)
    assert "signature.missing: the answer is not signed" in capsys.readouterr().out


def test_the_keys_of_a_policys_answers(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 9_000)
    folder.write()
    scheme = world.scheme()
    with pytest.raises(click.UsageError, match="no answers signed by scheme lines"):
        answer_keys(folder.policy, scheme, None)
    folder.put_policy(**{"schemes:\n": "sign_responses: {scheme: lines, key: partner}\n\nschemes:\n"})
    assert list(answer_keys(folder.policy, scheme, None)) == list(answer_keys(folder.policy, scheme, "acme-casino"))
    with pytest.raises(click.UsageError, match="no answers signed"):
        answer_keys(folder.policy, scheme, "somebody-else")
