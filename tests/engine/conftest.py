"""A gate that is up."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engine.harness import Running, running


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as gate:
        yield gate
