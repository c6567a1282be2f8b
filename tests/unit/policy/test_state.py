from pathlib import Path

import pytest

from gateway.core.policy import Endpoint
from gateway.core.stores import EmbeddedSettings, FailModes, Layout, OnFailure, StateSettings, ValkeySettings
from gateway.policy.state import read_state
from tests.policy.reading import node, problems, reader


def read(text: str) -> StateSettings:
    used = reader()
    settings = read_state(used, node(text))
    assert problems(used) == []
    return settings


def remote(text: str) -> ValkeySettings:
    store = read(f"{{store: valkey, {text}}}").store
    assert isinstance(store, ValkeySettings)
    return store


def test_without_the_section_the_memory_of_the_process_counts() -> None:
    assert read_state(reader(), None) == StateSettings()
    assert read("{replay_entries: 50_000}") == read("{store: memory, replay_entries: 50_000}") == StateSettings(50_000)


def test_a_store_that_the_gate_runs() -> None:
    assert read("{store: valkey, embedded: true}").store == EmbeddedSettings()
    text = "{store: valkey, embedded: true, sync: everysec, timeout: 100ms, replay_entries: 2000}"
    assert read(text) == StateSettings(2000, store=EmbeddedSettings(every_write=False, timeout=0.1))


@pytest.mark.parametrize(
    ("url", "server", "tls", "database"),
    [
        ("valkey://127.0.0.1", Endpoint("127.0.0.1", 6379), False, 0),
        ("redis://localhost:7000/3", Endpoint("localhost", 7000), False, 3),
        ("valkeys://State.internal/", Endpoint("state.internal", 6379), True, 0),
        ("rediss://[::1]:1", Endpoint("::1", 1), True, 0),
        ("unix:///run/valkey.sock", Endpoint("/run/valkey.sock", 0), False, 0),
    ],
)
def test_a_server_by_its_url(url: str, server: Endpoint, tls: bool, database: int) -> None:
    made = remote(f'url: "{url}"')
    assert (made.servers, made.tls, made.database, made.layout) == ((server,), tls, database, Layout.SINGLE)


def test_sentinels_and_a_cluster() -> None:
    urls = 'urls: ["valkeys://a", "valkeys://b:1"]'
    sentinel = "layout: sentinel, service: main, sentinel: {user: watch, password: env:ACME_SIGNING_KEY}"
    made = remote(f"{urls}, {sentinel}")
    assert (made.servers, made.service) == ((Endpoint("a", 26379), Endpoint("b", 1)), "main")
    assert (made.sentinel_login.user, made.sentinel_login.password is not None) == ("watch", True)
    assert remote(f"{urls}, layout: cluster").servers == (Endpoint("a", 6379), Endpoint("b", 1))


def test_who_the_gate_is_and_what_it_trusts(certs: Path) -> None:
    files = f"ca: {certs}/partners-ca.pem, client: {{certificate: {certs}/gateway.pem, key: {certs}/gateway.key}}"
    made = remote(
        f"url: 'valkeys://a', user: gate, password: env:ACME_SIGNING_KEY, {files}, server_name: state.internal"
    )
    assert (made.login.user, made.server_name, made.ca) == ("gate", "state.internal", certs / "partners-ca.pem")
    assert made.client is not None
    assert "ACME" not in repr(made.login)
    assert made.login.password is not None


def test_plain_text_to_another_machine_is_warned_of() -> None:
    used = reader()
    read_state(used, node('{store: valkey, url: "valkey://10.0.0.9"}'))
    assert ["plain text" in problem for problem in problems(used)] == [True]
    assert used.errors == 0


def modes(text: str) -> FailModes:
    used = reader()
    return read_state(used, node(f"{{store: valkey, embedded: true, {text}}}")).on_failure


def test_what_controls_do_without_their_store() -> None:
    assert modes("nodes: 4, on_store_failure: {rate_limit: local}") == FailModes(OnFailure.LOCAL, nodes=4)
    assert modes("on_store_failure: {replay: local}") == FailModes(replay=OnFailure.LOCAL)
    assert modes("nodes: 2, on_store_failure: {lockout: local}") == FailModes(lockout=OnFailure.LOCAL, nodes=2)
    assert modes("timeout: 1s") == FailModes()


@pytest.mark.parametrize("control", ["rate_limit", "lockout"])
def test_what_is_divided_needs_to_be_told_by_how_many(control: str) -> None:
    used = reader()
    read_state(used, node(f"{{store: valkey, embedded: true, on_store_failure: {{{control}: local}}}}"))
    assert ["`local` without `nodes`" in problem for problem in problems(used)] == [True]


def test_what_lets_everything_pass_is_warned_of() -> None:
    used = reader()
    text = "{store: valkey, embedded: true, on_store_failure: {replay: {allow: 'risk R-8'}}}"
    assert read_state(used, node(text)).on_failure == FailModes(
        replay=OnFailure.ALLOW, because=(("replay", "risk R-8"),)
    )
    assert [
        "replay lets everything pass while the store cannot answer (risk R-8)" in one for one in problems(used)
    ] == [True]


def test_failures_that_are_not_counted_are_warned_of() -> None:
    used = reader()
    read_state(used, node("{store: valkey, embedded: true, on_store_failure: {lockout: {allow: 'risk R-9'}}}"))
    said = "failed authentications are not counted while the store cannot answer (risk R-9)"
    assert [said in one for one in problems(used)] == [True]
