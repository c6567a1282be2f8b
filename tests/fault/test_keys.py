"""Keys that are not there, or fail: no token can be checked, so nothing is let through."""

from dataclasses import replace
from typing import Never

import pytest

from gateway.core.reasons import Reason
from gateway.signing.jwks import KeySet
from tests.engine.harness import Running, get, read_response


class Failing(dict[str, object]):
    """Keys that raise when they are looked up."""

    def get(self, *_: object) -> Never:
        raise ZeroDivisionError("secret-7f3a")

    def __getitem__(self, _: object) -> Never:
        raise ZeroDivisionError("secret-7f3a")

    def __contains__(self, _: object) -> bool:
        raise ZeroDivisionError("secret-7f3a")


async def test_an_issuer_without_a_key_set(up: Running) -> None:
    up.gate.in_force = replace(up.gate.in_force, key_sets={})

    response = await up.send(get())

    assert (response.status, response.code) == (503, "token.keys_unavailable")
    assert up.decided == [Reason.TOKEN_KEYS_UNAVAILABLE]
    assert up.records("control.failed")[0]["unmapped"]["control"] == "token.keys:operator"
    assert up.upstream.untouched


async def test_key_sets_that_raise(up: Running) -> None:
    up.gate.in_force = replace(up.gate.in_force, key_sets=Failing())  # type: ignore[arg-type]

    assert (await up.send(get())).status == 503
    assert up.decided[0] in (Reason.STATE_UNAVAILABLE, Reason.TOKEN_KEYS_UNAVAILABLE)
    assert up.upstream.untouched


async def test_what_is_no_key_set(up: Running) -> None:
    up.gate.in_force = replace(up.gate.in_force, key_sets={"operator": object()})  # type: ignore[dict-item]

    assert (await up.send(get())).code == "gate.control_failed"
    assert up.upstream.untouched


async def test_keys_that_raise(up: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    del monkeypatch
    keys = KeySet(Failing())  # type: ignore[arg-type]
    up.gate.in_force = replace(up.gate.in_force, key_sets={"operator": keys})

    assert (await up.send(get())).code == "gate.control_failed"
    assert up.upstream.untouched


async def test_a_token_remembered_as_good_does_not_outlive_its_keys(up: Running) -> None:
    assert (await up.send(get())).status == 200

    up.gate.in_force = replace(up.gate.in_force, key_sets={})

    assert (await up.send(get())).status == 503


async def test_keys_that_are_back(up: Running) -> None:
    working = up.gate.in_force
    reader, writer = await up.connect()
    up.gate.in_force = replace(working, key_sets={})
    for _ in range(3):
        writer.write(get())
        assert (await read_response(reader)).status == 503

    up.gate.in_force = working
    writer.write(get())
    assert (await read_response(reader)).status == 200

    (failed,), (recovered,) = up.records("control.failed"), up.records("control.recovered")
    assert failed["unmapped"]["control"] == recovered["unmapped"]["control"] == "token.keys:operator"
