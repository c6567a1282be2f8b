"""What a long revocation list costs a request: nothing that could be counted."""

import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from gateway.engine import service as service_module
from tests.crls import crl as make_list
from tests.crls import pem
from tests.engine import pki
from tests.engine.harness import Client, get, read_response
from tests.engine.services import Folder, again, serving
from tests.engine.test_revocation import LISTED

ENTRIES = 5_000
"""That their number does not matter is shown by counting: the list is a set, asked once for each handshake."""


async def counted(client: Client) -> Counter[str]:
    """Send a request on a connection that stands; give how often which function of the gate was called for it.

    Comparisons of dataclasses are left out: a dictionary makes them when hashes happen to collide.
    """
    called: Counter[str] = Counter()

    def watch(frame: FrameType, event: str, _: Any) -> None:
        name = frame.f_globals.get("__name__", "")
        if event == "call" and name.startswith("gateway.") and "__create_fn__" not in frame.f_code.co_qualname:
            called[f"{name}.{frame.f_code.co_qualname}"] += 1

    reader, writer = client
    sys.setprofile(watch)
    try:
        writer.write(get())
        response = await read_response(reader)
    finally:
        sys.setprofile(None)
    assert response.status == 200
    return called


@pytest.mark.direct
async def test_a_request_calls_the_same_with_and_without_a_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "TICK_SECONDS", 3_600.0)
    partners = pki.pki().partners
    found: list[Counter[str]] = []
    async with serving() as upstream:
        for name, changes in (("without", {}), ("with", LISTED)):
            (tmp_path / name).mkdir()
            folder = Folder(tmp_path / name, upstream.port)
            folder.write()
            folder.put("partners.crl", pem(make_list(partners, *range(10**30, 10**30 + ENTRIES))))
            folder.put_policy(**changes)
            async with again(folder, upstream) as up:
                client = await up.connect()
                for _ in range(2):  # the first one has more to learn
                    calls = await counted(client)
                found.append(calls)
                client[1].close()
    assert found[0] == found[1]
    assert sum(found[0].values()) > 50
    assert not [name for name in found[1] if ".revocation" in name or ".crl" in name]
