import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.engine.master import GateMaster, make_contexts
from gateway.engine.start import StartError
from tests import world
from tests.engine import pki
from tests.unit.engine.gates import Made

# TLS and listeners


def test_each_listener_has_a_context_of_its_own(tmp_path: Path) -> None:
    listeners = {name: world.listener(name=name, tls=pki.write(tmp_path)) for name in ("public", "partners")}
    contexts = make_contexts(world.policy(listeners=listeners))
    assert list(contexts) == ["public", "partners"]
    assert contexts["public"].context is not contexts["partners"].context


@pytest.mark.parametrize(("content", "error"), [(None, FileNotFoundError), ("-----BEGIN", ssl.SSLError)])
def test_a_key_that_cannot_be_read_is_an_error(tmp_path: Path, content: str | None, error: type[Exception]) -> None:
    tls = replace(pki.write(tmp_path), key=tmp_path / "broken.key")
    if content is not None:
        (tmp_path / "broken.key").write_text(content)
    with pytest.raises(error):
        make_contexts(world.policy(listeners={"public": world.listener(tls=tls)}))


async def test_a_port_that_is_taken_stops_the_start(tmp_path: Path) -> None:
    listener = world.listener(port=0, tls=pki.write(tmp_path))
    first = Made(policy=world.policy(listeners={"public": listener}))
    running = GateMaster(first.gate, first.policy)
    await running.start()
    port = running.listeners["public"].sockets[0].getsockname()[1]
    second = Made(policy=world.policy(listeners={"public": replace(listener, port=port)}))
    failing = GateMaster(second.gate, second.policy)

    with pytest.raises(StartError, match="already in use"):
        await failing.start()

    for master in (failing, running):
        for accepting in master.listeners.values():
            accepting.close()
        await master.done()
