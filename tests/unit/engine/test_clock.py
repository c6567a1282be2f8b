import time

from gateway.engine.clock import Clock


def test_the_clocks_are_the_systems() -> None:
    clock = Clock()
    before, monotonic = time.time(), time.monotonic()
    assert before <= clock.now() <= time.time()
    assert monotonic <= clock.monotonic() <= time.monotonic()
