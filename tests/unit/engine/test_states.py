import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.audit.events import ControlFailed
from gateway.core.chain import Claim, ClaimOnce
from gateway.core.message import Instant
from gateway.core.policy import Endpoint, Policy
from gateway.core.secret import Secret
from gateway.core.stores import EmbeddedSettings, FailModes, Login, OnFailure, StateSettings, ValkeySettings
from gateway.engine.clock import Clock
from gateway.engine.start import StartError
from gateway.engine.states import States, open_state, same_store
from gateway.state.fallback import Fallback
from gateway.state.memory import MemoryState
from gateway.state.unshared import Unshared
from tests import world
from tests.engine.harness import until
from tests.unit.engine.gates import Made
from tests.valkey import Server, serving
from tests.world import NOW


def of(store: ValkeySettings | EmbeddedSettings | None) -> Policy:
    return replace(world.policy(), state=StateSettings(store=store))


def states(directory: Path, *, alone: bool = True) -> States:
    return States(directory, alone=alone, clock=Clock())


# The memory of the process


async def test_without_a_store_the_memory_of_the_process_counts(tmp_path: Path) -> None:
    opened = states(tmp_path / "state")
    assert await opened.open(of(None)) is opened.state
    assert isinstance(opened.state, MemoryState)
    await opened.close()


async def test_a_worker_without_a_store_that_is_shared_counts_nothing(tmp_path: Path) -> None:
    opened = states(tmp_path / "worker-1", alone=False)
    assert isinstance(await opened.open(of(None)), Unshared)
    await opened.close()


async def test_nonces_that_cannot_be_saved_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    opened = states(tmp_path / "state")
    await opened.open(of(None))
    (tmp_path / "state" / "replay.state").unlink()
    (tmp_path / "state" / "replay.state").mkdir()
    await opened.close()
    assert "nonces could not be saved: Is a directory" in caplog.messages


def test_a_state_folder_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StartError, match=r"state folder .*state: "):
        open_state(tmp_path / "state", world.policy(), NOW)


def test_a_state_folder_that_another_gate_uses_stops_the_start(tmp_path: Path) -> None:
    first = open_state(tmp_path / "state", world.policy(), NOW)
    with pytest.raises(StartError, match="state folder "):
        open_state(tmp_path / "state", world.policy(), NOW)
    first.close()


@pytest.mark.parametrize("orderly", [True, False])
def test_a_start_after_a_crash_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture, orderly: bool) -> None:
    caplog.set_level(logging.WARNING)
    first = open_state(tmp_path / "state", world.policy(), NOW)
    if orderly:
        first.save(NOW)
    first.close()

    second = open_state(tmp_path / "state", world.policy(), NOW)

    assert isinstance(second, MemoryState)
    assert any("did not stop in good order" in message for message in caplog.messages) != orderly
    second.close()


def test_a_start_after_a_crash_means_nothing_where_nothing_is_remembered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    forgetful = world.policy(world.route(chain=world.chain(replay=None)))
    for _ in range(2):
        open_state(tmp_path / "state", forgetful, NOW).close()
    assert caplog.messages == []


def test_the_folder_of_the_state_is_made_where_it_is_not_there(tmp_path: Path) -> None:
    open_state(tmp_path / "var" / "new", world.policy(), NOW).close()
    assert (tmp_path / "var" / "new").is_dir()


# A store


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


def at(server: Server, **changes: object) -> ValkeySettings:
    return replace(ValkeySettings((Endpoint(server.address.host, 0),), timeout=5.0), **changes)  # type: ignore[arg-type]


async def test_what_a_store_failed_in_is_recorded_with_its_end(tmp_path: Path, server: Server) -> None:
    opened = states(tmp_path)
    assert isinstance(await opened.open(of(at(server))), Fallback)
    made = Made()
    opened.attend(made.gate)  # what was found at the start
    assert list(made.gate.health.failing) == ["state.claims"]
    server.ask("CLIENT", "KILL", "TYPE", "normal")
    name = f"state.valkey {server.address}"
    await until(lambda: name in made.gate.health.failing)
    await until(lambda: name not in made.gate.health.failing)
    await opened.close()


async def test_what_goes_on_without_the_store_is_recorded_with_its_loss(tmp_path: Path, server: Server) -> None:
    opened = states(tmp_path)
    modes = FailModes(OnFailure.LOCAL, nodes=2)
    await opened.open(replace(world.policy(), state=StateSettings(store=at(server), on_failure=modes)))
    made = Made()
    opened.attend(made.gate)
    server.ask("CLIENT", "KILL", "TYPE", "normal")
    await until(lambda: len(made.log.of(ControlFailed)) == 2)
    await opened.close()
    details = [failed.detail for failed in made.log.of(ControlFailed)]
    assert details[1] == "the connection was closed; meanwhile rate_limit: local"
    assert "meanwhile" not in details[0]  # what was lost stays so, whatever the mode


async def test_a_store_that_is_not_there_does_not_keep_the_gate_from_starting(
    tmp_path: Path, server: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.engine.states.CONNECT_SECONDS", 0.0)
    server.kill()
    opened = states(tmp_path)
    await opened.open(of(at(server)))
    assert "what needs it waits for its answer" in caplog.text
    await opened.close()


async def test_a_store_that_will_not_have_the_gate_keeps_it_from_starting(tmp_path: Path, server: Server) -> None:
    refused = at(server, login=Login("gate", Secret(b"secret-7f3a")))
    with pytest.raises(StartError, match=r"^state: unix:.*: it refuses with WRONGPASS$"):
        await states(tmp_path).open(of(refused))


async def test_files_for_tls_that_are_not_there_keep_it_from_starting(tmp_path: Path, server: Server) -> None:
    with pytest.raises(StartError, match="No such file"):
        await states(tmp_path).open(of(at(server, tls=True, ca=tmp_path / "nothing.pem")))


async def test_the_only_process_runs_the_server_and_a_worker_uses_it(tmp_path: Path) -> None:
    first = states(tmp_path / "state")
    claim = ClaimOnce("acme", b"x", Instant(first._clock.now()), Instant(first._clock.now() + 60))
    store = await first.open(of(EmbeddedSettings(timeout=5.0)))
    assert isinstance(store, Fallback)
    assert await store.store.claim(claim, first._clock.now()) is Claim.NEW
    second = states(tmp_path / "state" / "worker-1", alone=False)
    shared = await second.open(of(EmbeddedSettings(timeout=5.0)))
    assert isinstance(shared, Fallback)
    assert await shared.store.claim(claim, first._clock.now()) is Claim.SEEN
    assert second.embedded is None
    await second.close()
    await first.close()
    third = states(tmp_path / "state")
    store = await third.open(of(EmbeddedSettings(timeout=5.0)))
    assert isinstance(store, Fallback)
    assert await store.store.claim(claim, first._clock.now()) is Claim.SEEN  # a restart forgets nothing
    await third.close()


SERVERS = (Endpoint("state.internal", 6379),)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (None, None, True),
        (None, EmbeddedSettings(), False),
        (EmbeddedSettings(), EmbeddedSettings(), True),
        (EmbeddedSettings(), EmbeddedSettings(every_write=False), False),
        (ValkeySettings(SERVERS), ValkeySettings(SERVERS), True),
        (ValkeySettings(SERVERS), ValkeySettings(SERVERS, database=1), False),
        (
            ValkeySettings(SERVERS, login=Login("gate", Secret(b"one"))),
            ValkeySettings(SERVERS, login=Login("gate", Secret(b"two"))),
            True,
        ),
    ],
)
def test_stores_are_compared_without_their_passwords(
    one: ValkeySettings | EmbeddedSettings | None, other: ValkeySettings | EmbeddedSettings | None, same: bool
) -> None:
    assert same_store(StateSettings(store=one), StateSettings(store=other)) == same
