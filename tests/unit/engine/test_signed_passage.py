import pytest

from gateway.core.reasons import Denied, Reason
from gateway.engine.body import BodyReader
from gateway.engine.response_head import ResponseFields
from gateway.engine.signed_passage import SignedPassage
from tests import world
from tests.engine.upstream import OK
from tests.unit.engine.gates import Made
from tests.unit.engine.test_passage import Client, Opens
from tests.unit.engine.test_signed_answers import Signer
from tests.world import World

BODY = b'{"status":"ok"}'


class Run:
    """One passage whose answer is signed, and what stands at both its ends."""

    def __init__(self, signer: Signer) -> None:
        self.signer = signer
        self.client = Client()
        self.pool = Opens()
        self.ended: list[tuple[Reason, str]] = []

    async def begin(self) -> "Run":
        self.handling = await Made(policy=world.policy(world.route(answers=self.signer))).allowed()
        body = BodyReader(World().head())
        body.feed(world.BODY)
        note = self.ended
        self.passage = SignedPassage(
            self.client, self.handling, self.pool, body, lambda reason, detail: note.append((reason, detail))
        )
        self.passage.begin(world.BODY)
        return self

    def answer(self, data: bytes) -> None:
        self.pool.made.data_received(data)


@pytest.fixture(autouse=True)
def stamped(monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.engine.gate import Handling  # noqa: PLC0415 - only its property is replaced
    from tests.unit.engine.test_signed_answers import STAMP  # noqa: PLC0415

    monkeypatch.setattr(Handling, "stamp", property(lambda _: STAMP))


def limited(limit: int, error: Exception | None = None) -> Signer:
    signer = Signer(error)
    signer.limit = limit
    return signer


async def test_nothing_goes_out_before_all_is_there_and_signed() -> None:
    run = await Run(limited(64)).begin()
    run.answer(OK[:-5])
    assert (run.client.written, run.passage.status) == (b"", None)
    assert run.client.awaited == 2
    run.answer(OK[-5:])
    head, _, body = run.client.written.partition(b"\r\n\r\n")
    assert body == BODY
    assert b"x-signature: " + BODY + b"\r\ncontent-length: 15" in head
    assert b"x-gateway-request-id" in head
    assert (run.ended, run.passage.status, run.handling.response_bytes) == ([(Reason.ALLOWED, "")], 200, 15)
    assert run.pool.returned == [run.pool.made]


async def test_a_response_beyond_the_limit_is_broken_off() -> None:
    run = await Run(limited(8)).begin()
    run.answer(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nxxxxxxxxx\r\n")
    assert run.ended == [(Reason.RESPONSE_TOO_LARGE, "more than the 8 bytes that are held to be signed")]
    assert (run.client.written, run.passage.status) == (b"", None)
    assert run.pool.transport.is_closing()


async def test_a_response_beyond_the_limit_that_is_there_at_once() -> None:
    run = await Run(limited(8)).begin()
    run.answer(OK)
    assert [reason for reason, _ in run.ended] == [Reason.RESPONSE_TOO_LARGE]
    assert run.client.written == b""


async def test_a_response_that_cannot_be_signed_is_not_sent() -> None:
    run = await Run(limited(64, Denied(Reason.RESPONSE_UNSIGNABLE, "why"))).begin()
    run.answer(OK)
    assert run.ended == [(Reason.RESPONSE_UNSIGNABLE, "why")]
    assert run.client.written == b""


async def test_it_is_for_routes_that_sign() -> None:
    run = await Run(limited(64)).begin()
    run.handling.decision = None
    with pytest.raises(RuntimeError, match="does not sign"):
        run.passage.response_head(200, ResponseFields(), ends=False)
    with pytest.raises(RuntimeError, match="without a head"):
        run.passage.response_ended()
