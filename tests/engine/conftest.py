"""Fixtures of the engine's tests: uvloop, as in production, and a gate that is up."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop

from tests.engine.harness import Running, running


@pytest.fixture(scope="session")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    return uvloop.EventLoopPolicy()


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as gate:
        yield gate
