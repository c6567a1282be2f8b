"""`gateway limits show`."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.limits import limits
from gateway.core.chain import RateLimit, Take, TakeRate
from gateway.core.message import Instant
from gateway.core.policy import Endpoint
from gateway.core.stores import StateSettings, ValkeySettings
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


def test_what_cannot_be_told_is_said(policies: Path, server: Server) -> None:
    assert "no partner nobody in this policy" in show(policies, "nobody").output
    refused = show(policies)
    assert (refused.exit_code, "in the memory of the gate" in refused.output) == (2, True)
    server.kill()
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
