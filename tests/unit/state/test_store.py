import inspect

import pytest

from gateway.core.stores import StateSettings
from gateway.state.memory import MemoryState
from gateway.state.store import Store


def test_memory_is_a_store() -> None:
    store: Store = MemoryState(StateSettings())
    store.close()


@pytest.mark.parametrize("method", ["take", "claim", "remember", "reserve", "settle", "close"])
def test_memory_answers_as_a_store_is_asked(method: str) -> None:
    asked = inspect.signature(getattr(Store, method))
    assert list(inspect.signature(getattr(MemoryState, method)).parameters) == list(asked.parameters)
