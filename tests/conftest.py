"""What all tests share: uvloop, as in production, and a gate that is up."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvloop

if TYPE_CHECKING:
    from tests.engine.harness import Running


@pytest.fixture(scope="session")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    return uvloop.EventLoopPolicy()


@pytest.fixture
async def up(tmp_path: Path) -> "AsyncIterator[Running]":
    """A gate that is up, audited after the test."""
    from tests.engine.harness import running  # noqa: PLC0415 - most tests need no engine, which takes long to import

    async with running(tmp_path) as gate:
        yield gate
