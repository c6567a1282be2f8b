"""What `gateway sign` makes, the gate takes: sent by itself, and by curl."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.sign import sign
from tests import world
from tests.engine.services import Served, served


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as service:
        yield service


def arguments(up: Served, nonce: str, *more: str) -> list[str]:
    folder = up.folder.path
    return [
        str(up.folder.policy), f"https://localhost:{up.port}/v1/deposits", "-d", world.BODY.decode(),
        "-H", f"authorization: Bearer {world.token()}", "-H", "content-type: application/json", "--nonce", nonce,
        "--key-id", world.SIGNING_KEY_ID, "--secret", f"file:{folder}/acme.secret", "--created", "2026-11-22T13:00:00Z",
        "--cacert", str(folder / "operator-ca.pem"), "--cert", str(folder / "partner.pem"),
        *more,
    ]  # fmt: skip


async def test_sent_by_itself(up: Served) -> None:
    runner = CliRunner()
    sent = [await asyncio.to_thread(runner.invoke, sign, arguments(up, "nonce-1", "--send")) for _ in range(2)]
    assert [each.exit_code for each in sent] == [0, 1]
    assert sent[0].output.startswith("HTTP/1.1 200 OK\n")
    assert '{"status":"ok"}' in sent[0].output
    assert '"code":"replay.seen"' in sent[1].output
    assert up.upstream.bodies == [world.BODY]


async def test_sent_by_curl(up: Served) -> None:
    made = CliRunner().invoke(sign, arguments(up, "nonce-1"))
    command = ["/bin/sh", "-ec", f"{made.output.strip()} --silent --show-error --fail-with-body --noproxy '*'"]
    sent = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
    assert (sent.returncode, sent.stdout, sent.stderr) == (0, b'{"status":"ok"}', b"")
    assert up.upstream.bodies == [world.BODY]
