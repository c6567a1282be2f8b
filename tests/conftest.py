"""What all tests share: uvloop, as in production, and a gate that is up."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvloop

from tests import reasons

if TYPE_CHECKING:
    from tests import node
    from tests.engine.harness import Running


BOTH_PATHS = ("engine", "attack", "fault")
"""Folders whose tests run on both ways that HTTP/1.1 can take, but for those marked `layers` or `direct`."""


def pytest_configure(config: pytest.Config) -> None:
    reasons.load(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    folder = metafunc.definition.path.parent
    if folder.name in BOTH_PATHS and folder.parent.name == "tests":
        ways = ["direct", "layers"]
        paths = [way for way in ways if metafunc.definition.get_closest_marker(way) is not None] or ways
        metafunc.parametrize("http1", paths, indirect=True)


@pytest.fixture(autouse=True)
def http1(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way HTTP/1.1 takes in this test: `direct`, or through mitmproxy's `layers`."""
    if hasattr(request, "param"):
        from tests.engine import harness  # noqa: PLC0415 - as below

        monkeypatch.setattr(harness, "FLOWS", request.param == "layers")


@pytest.fixture(scope="session")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    return uvloop.EventLoopPolicy()


@pytest.fixture
async def up(tmp_path: Path) -> "AsyncIterator[Running]":
    """A gate that is up, audited after the test."""
    from tests.engine.harness import running  # noqa: PLC0415 - most tests need no engine, which takes long to import

    async with running(tmp_path) as gate:
        yield gate


@pytest.fixture(scope="session")
def npm(tmp_path_factory: pytest.TempPathFactory) -> "node.Packages":
    """Packages from npm that sign, installed once a run."""
    from tests import node  # noqa: PLC0415 - few tests need it

    own = tmp_path_factory.getbasetemp()
    # Each of several processes has a folder of its own below the run's.
    return node.packages((own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "npm")
