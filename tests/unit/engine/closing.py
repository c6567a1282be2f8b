"""What holds for whatever asks an issuer: closed, it ends its question, or waits for the answer."""

import asyncio
from collections.abc import Awaitable
from typing import Any, Protocol

import pytest

from gateway.core.reasons import Unavailable


class Closes(Protocol):
    """What asks."""

    async def close(self, *, cut: bool = True) -> None:
        """Close it."""
        ...


async def check_closing(asks: Closes, question: Awaitable[Any], held: asyncio.Event, *, cut: bool) -> None:
    """Close it while a question waits for `held`: with `cut` the question ends, else it is answered."""
    waiting = asyncio.ensure_future(question)
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(asks.close(cut=cut))
    await asyncio.sleep(0)
    held.set()
    await closing
    if cut:
        with pytest.raises(Unavailable):
            await waiting
    else:
        assert await waiting
