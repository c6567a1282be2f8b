"""`gateway limits show` and `gateway limits reset`."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import limits as module
from gateway.cli.limits import limits
from gateway.core.chain import RateLimit, Take, TakeRate
from gateway.core.message import Instant
from gateway.core.policy import Endpoint
from gateway.core.stores import StateSettings, ValkeySettings
from gateway.engine.resetting import RECORDED
from gateway.state.resets import NAME, Reader
from gateway.state.valkey.store import ValkeyState
from tests.policy.files import BASE, ENVIRON, make_files
from tests.valkey import Server, serving
from tests.world import NOW


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    make_files(tmp_path)
    (tmp_path / "policies").mkdir()
    for file in BASE.iterdir():
        (tmp_path / "policies" / file.name).write_text(file.read_text())
    return tmp_path / "policies"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


def reset(policies: Path, *arguments: str, state: str = "state") -> Result:
    told = ("--because", "INC-1", "--by", "maria", "--state", str(policies / state))
    return CliRunner(env=ENVIRON).invoke(limits, ["reset", str(policies), *arguments, *told])


def put(policies: Path, state: str) -> None:
    (policies / "state.yaml").write_text(f"version: 1\nstate: {state}\n")


def show(policies: Path, partner: str = "acme-casino") -> Result:
    return CliRunner(env=ENVIRON).invoke(limits, ["show", str(policies), partner, "--state", str(policies / "state")])


def take(server: Server, amount: int, window: int) -> None:
    """Have a gate take a request of the partner's."""

    async def run() -> None:
        settings = StateSettings(store=ValkeySettings((Endpoint(server.address.host, 0),), timeout=5.0))
        state = ValkeyState("psp", settings, None, lambda: NOW)
        await state.start(20.0)
        limit = RateLimit(f"partner-{window}s", amount, window, sliding=True)
        ask = TakeRate((Take(limit, ("psp", "deposit", limit.name, "acme-casino")),))
        assert (await state.take(ask, Instant(NOW))).allowed
        await state.stop()

    asyncio.run(run())


def test_what_a_partner_has_used_is_shown_and_nothing_is_taken(policies: Path, server: Server) -> None:
    text = (policies / "routes.yaml").read_text()
    (policies / "routes.yaml").write_text(text.replace("50/second per partner", "50 per 30d per partner"))
    put(policies, f'{{store: valkey, url: "unix://{server.address.host}", timeout: 5s}}')
    take(server, 50, 30 * 86_400)
    before = sorted(server.ask("KEYS", "*"))
    for _ in range(2):
        said = show(policies)
        assert said.exit_code == 0
        assert [line.split(maxsplit=2) for line in said.output.splitlines()] == [
            ["deposit", "partner-2592000s", "used 1 of 50/30d"],
            ["deposit", "token.sub-60s", "counted by token.sub: one bucket for each"],
        ]
    assert sorted(server.ask("KEYS", "*")) == before


def test_what_cannot_be_told_is_said(policies: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no partner nobody in this policy" in show(policies, "nobody").output
    (policies / "state").mkdir()
    monkeypatch.setattr(module, "TAKEN_SECONDS", 0.0)
    refused = show(policies)
    assert (refused.exit_code, "in the memory of the gate, and none runs with" in refused.output) == (2, True)
    assert list((policies / "state").iterdir()) == []
    (policies / "state").rmdir()
    refused = show(policies)
    assert (refused.exit_code, "name the folder that gateway run has" in refused.output) == (2, True)
    server.kill()
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.05)
    put(policies, f'{{store: valkey, url: "unix://{server.address.host}", timeout: 5s}}')
    refused = show(policies)
    assert (refused.exit_code, "the store cannot be asked" in refused.output) == (2, True)
    put(policies, "{store: nowhere}")
    assert "is no known value" in show(policies).output


def test_the_limits_of_the_partners_tier_are_shown(policies: Path, server: Server) -> None:
    text = (policies / "routes.yaml").read_text()
    old = '["50/second per partner", "5/minute per token.sub"]'
    assert old in text
    tiers = '{default: ["1/second per partner"], gold: ["50 per 30d per partner"]}'
    (policies / "routes.yaml").write_text(text.replace(old, tiers))
    text = (policies / "partners.yaml").read_text()
    (policies / "partners.yaml").write_text(text.replace("    networks:", "    tier: gold\n    networks:"))
    put(policies, f'{{store: valkey, url: "unix://{server.address.host}", timeout: 5s}}')
    take(server, 50, 30 * 86_400)
    assert show(policies).output.split(maxsplit=2) == ["deposit", "partner-2592000s", "used 1 of 50/30d\n"]


def test_requests_in_flight_are_shown(policies: Path, server: Server) -> None:
    text = (policies / "routes.yaml").read_text()
    limited = text.replace("    replay: required\n", "    replay: required\n    concurrency: {per_partner: 7}\n", 1)
    (policies / "routes.yaml").write_text(limited)
    put(policies, f'{{store: valkey, url: "unix://{server.address.host}", timeout: 5s}}')
    assert [line.split(maxsplit=2) for line in show(policies).output.splitlines()][2] == [
        "deposit", "concurrency", "0 of 7 in flight",
    ]  # fmt: skip


def test_a_burst_is_shown_as_it_is_counted(policies: Path, server: Server) -> None:
    text = (policies / "routes.yaml").read_text()
    limit = "{limit: 50/second, per: partner, burst: 200}"
    (policies / "routes.yaml").write_text(text.replace('"50/second per partner"', limit))
    put(policies, f'{{store: valkey, url: "unix://{server.address.host}", timeout: 5s}}')
    assert "used 0 of the burst of 200 at 50/second" in show(policies).output


def test_a_reset_is_in_the_journal_and_done_in_the_store(policies: Path, server: Server) -> None:
    text = (policies / "routes.yaml").read_text()
    (policies / "routes.yaml").write_text(text.replace("50/second per partner", "50 per 30d per partner"))
    put(policies, f'{{store: valkey, url: "unix://{server.address.host}", timeout: 5s}}')
    (policies / "state").mkdir()
    take(server, 50, 30 * 86_400)
    done = reset(policies, "acme-casino", "--route", "deposit")
    assert (done.exit_code, done.output) == (0, "reset: acme-casino (number 1; counters in use: 1)\n")
    assert "used 0 of 50/30d" in show(policies).output
    (noted,) = Reader(policies / "state").read()
    assert (noted.partner, noted.routes, noted.by, noted.because) == ("acme-casino", ("deposit",), "maria", "INC-1")


def test_a_store_that_does_not_answer_is_no_reset(
    policies: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.05)
    put(policies, f'{{store: valkey, url: "unix://{server.address.host}", timeout: 5s}}')
    (policies / "state").mkdir()
    server.kill()
    done = reset(policies, "acme-casino")
    assert (done.exit_code, "the store cannot be asked" in done.output) == (2, True)
    assert Reader(policies / "state").read() == []


def test_a_reset_of_what_is_not_there_is_refused(policies: Path) -> None:
    (policies / "state").mkdir()
    for arguments, said in (
        (("nobody",), "no partner nobody in this policy"),
        (("acme-casino", "--route", "depost"), "no route `depost` in this policy"),
    ):
        done = reset(policies, *arguments)
        assert (done.exit_code, said in done.output) == (2, True)
    done = reset(policies, "acme-casino", state="elsewhere")
    assert (done.exit_code, "is no folder" in done.output) == (2, True)
    (policies / "state" / NAME).mkdir()
    done = reset(policies, "acme-casino")
    assert (done.exit_code, "resets in" in done.output) == (2, True)


def test_without_a_gate_that_counts_it_is_noted_for_the_next(policies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TAKEN_SECONDS", 0.0)
    (policies / "state").mkdir()
    done = reset(policies, "acme-casino")
    assert (done.exit_code, "no gate has done it yet" in done.output) == (2, True)
    (policies / "state" / RECORDED).write_text("2\n")
    done = reset(policies, "acme-casino")
    assert (done.exit_code, done.output) == (0, "reset: acme-casino (number 2)\n")
