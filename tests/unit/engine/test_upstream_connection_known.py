"""Responses whose head came before on the same connection, and which are not read anew."""

import asyncio

import pytest

from gateway.core.reasons import Reason
from tests.unit.engine.loops import Loop
from tests.unit.engine.test_upstream_connection import OK, Run


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    loop = Loop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
    return Run(loop)


FIRST = OK + b"content-length: 3\r\nx-a: 1\r\n\r\nabc"
PADDED = OK + b"content-length: %d\r\n\r\n"
AFTER = [
    FIRST,
    OK + b"content-length: 3\r\nx-a: 1\r\n\r\ndef",
    OK + b"content-length: 3\r\nx-a: 2\r\n\r\nabc",
    OK + b"content-length: 3\r\nx-a: 1\r\n\r\n",
    OK + b"content-length: 3\r\nx-a: 1\r\n\r\nabcd",
    OK + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\ncontent-length: 3\r\n\r\n",
    b"HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nabc",
    OK + b"connection: close\r\ncontent-length: 3\r\n\r\nabc",
    b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + FIRST,
    PADDED % len(FIRST) + FIRST,
    b"\r\n" + FIRST,
]


@pytest.mark.parametrize("before", AFTER)
@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_a_response_is_the_same_whatever_came_before_it(
    monkeypatch: pytest.MonkeyPatch, before: bytes, pieces: int
) -> None:
    loop = Loop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
    for after in AFTER:
        alone, used = Run(loop), Run(loop)
        used.ask()
        size = len(before) // pieces + 1
        used.answer(*[before[at : at + size] for at in range(0, len(before), size)])
        if not used.waits:
            continue
        read = []
        for one in (alone, used):
            for _ in range(2):  # once more, as the last one came
                if one.connection.transport is None or one.transport.closing:
                    break
                one.pool._idle[one.place].clear()
                if one.connection._sink is not None:
                    break
                sink = one.ask()
                one.answer(after)
            read.append((sink.status, list(sink.fields), sink.ends, sink.body, sink.ended, sink.failed, one.waits))
        assert read[0] == read[1]


def test_a_body_that_looks_like_a_head_is_none(run: Run) -> None:
    sink = run.ask()
    inner = OK + b"content-length: 0\r\nx-b: " + b"b" * 64 + b"\r\n\r\n"
    outer = OK + b"content-length: %d\r\nx-a: " % len(inner)
    outer += b"a" * (len(inner) - len(outer) - 4) + b"\r\n\r\n"
    assert len(outer) == len(inner)
    run.answer(outer, inner)
    assert sink.body == inner
    assert run.connection._known is None


def test_a_fault_of_the_gates_own_ends_a_response_that_came_before(run: Run) -> None:
    run.ask()
    run.answer(FIRST)
    assert run.pool.take() is run.connection
    sink = run.ask()
    sink.status = 200  # has it refuse a head
    run.answer(FIRST)
    assert sink.failed is not None
    assert sink.failed[0] is Reason.UPSTREAM_BROKEN
    assert sink.failed[1].startswith("not an answer: a second head")
    assert run.transport.aborted
