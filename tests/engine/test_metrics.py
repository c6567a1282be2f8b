"""Metrics of a service, as Prometheus gets them."""

import asyncio
from pathlib import Path

from tests.engine.harness import get, read_to_end
from tests.engine.services import Folder, Served, again, serving

AT = {"listeners:": "metrics: {address: 127.0.0.1:0}\nlisteners:"}


async def scrape(up: Served) -> str:
    """Ask as Prometheus does."""
    reader, writer = await asyncio.open_connection("127.0.0.1", up.service.counting.server.port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = await read_to_end(reader)
    writer.close()
    return answer.decode()


async def test_what_the_log_says_the_metrics_say(tmp_path: Path) -> None:
    async with serving() as upstream:
        folder = Folder(tmp_path, upstream.port)
        folder.write()
        folder.put_policy(**AT)
        async with again(folder, upstream) as up:
            await up.send(get())
            await up.send(get("/v1/nowhere"))
            await up.until_recorded("outcome")

            said = await scrape(up)

            assert 'gateway_requests_total{partner="acme-casino",reason="allowed",route="balance"} 1.0' in said
            assert 'gateway_requests_total{partner="(none)",reason="route.unknown",route="(none)"} 1.0' in said
            assert 'gateway_outcomes_total{partner="acme-casino",reason="allowed",route="balance"} 1.0' in said
            assert 'gateway_upstream_seconds_count{upstream="psp"} 1.0' in said
            assert 'role="presented",what="certificate CN=gate"' in said
            assert "gateway_audit_lost_total 0.0" in said


async def test_metrics_cannot_be_moved_by_a_reload(tmp_path: Path) -> None:
    async with serving() as upstream:
        folder = Folder(tmp_path, upstream.port)
        folder.write()
        async with again(folder, upstream) as up:
            folder.put_policy(**AT)
            assert not await up.service.reload("signal")
