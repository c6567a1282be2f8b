from contextlib import closing
from socket import create_server

from gateway.core.policy import Endpoint
from gateway.core.reasons import Reason
from gateway.engine.counting import Counting
from gateway.engine.worker import Worker
from tests.unit.engine.gates import Made


async def test_where_the_policy_wants_none_nothing_is_counted() -> None:
    made = Made()
    counting = Counting(made.gate, {})
    await counting.start(None, None)
    counting.adopt(())
    assert made.gate.commit.observe is None
    await counting.close()


async def test_what_is_recorded_is_counted() -> None:
    made = Made()
    counting = Counting(made.gate, {})
    await counting.start(Endpoint("127.0.0.1", 0), None)
    counting.adopt(())
    (await made.allowed()).finish(Reason.ALLOWED, "", 200)
    made.gate.commit.flush()
    assert b'gateway_requests_total{partner="acme-casino",reason="allowed",route="deposit"} 1.0' in counting._text()
    await counting.close()


async def test_each_worker_has_a_port_of_its_own() -> None:
    with closing(create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    counting = Counting(Made().gate, {})
    await counting.start(Endpoint("127.0.0.1", port - 1), Worker(2, 0, ()))
    assert counting.server.port == port
    await counting.close()
