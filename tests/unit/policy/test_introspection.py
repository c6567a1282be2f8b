from pathlib import Path

import pytest

from gateway.core.issuer import Introspection
from gateway.policy.introspection import read_introspection
from tests.policy.files import make_files
from tests.policy.reading import definition, node, problems, reader

URL = "url: 'https://idp.example/introspect'"
CREDENTIALS = "client_id: gateway, client_secret: 'env:ACME_SIGNING_KEY'"


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    make_files(folder)
    return folder / "certs"


def read(text: str) -> Introspection:
    used = reader()
    found = read_introspection(used, definition("{}"), node(f"{{{text}}}"))
    assert used.problems == []
    assert found is not None
    return found


def test_defaults() -> None:
    found = read(f"{URL}, {CREDENTIALS}")
    assert found == Introspection("https://idp.example/introspect", "gateway")
    assert found.client_secret is not None
    assert (found.cache, found.cache_negative, found.timeout) == (30.0, 5.0, 2.0)


def test_every_setting(certs: Path) -> None:
    found = read(
        f"{URL}, client: {{certificate: {certs}/gateway.pem, key: {certs}/gateway.key}}, ca: {certs}/partners-ca.pem, "
        "cache: 0s, cache_negative: 1s, timeout: 500ms"
    )
    assert (found.certificate, found.key) == (certs / "gateway.pem", certs / "gateway.key")
    assert (found.ca, found.cache, found.cache_negative, found.timeout) == (certs / "partners-ca.pem", 0.0, 1.0, 0.5)


def test_plaintext_on_this_machine_in_words() -> None:
    assert read(f"url: 'http://127.0.0.1/introspect', plaintext: 'beside the gate', {CREDENTIALS}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CREDENTIALS, "`url` is missing"),
        (URL, "nothing authenticates the gate"),
        (f"{URL}, client_id: gateway", "`client_id` and `client_secret` go together"),
        (f"{URL}, client_id: gateway, client_secret: hunter2", "a secret does not stand in a policy"),
        (f"url: 'http://idp.example/', {CREDENTIALS}", "tokens must not leave this machine without TLS"),
        (f"url: 'http://localhost/', {CREDENTIALS}", "tokens would be sent without TLS"),
        (f"{URL}, plaintext: why, {CREDENTIALS}", "`plaintext` has no effect on https://"),
        (f"{URL}, {CREDENTIALS}, cache: 6m", "`6m` is too long"),
        (f"{URL}, {CREDENTIALS}, cache_negative: 2m", "`2m` is too long"),
        (f"{URL}, {CREDENTIALS}, timeout: 31s", "`31s` is too long"),
        (f"{URL}, client: {{certificate: a.pem}}", "`key` is missing"),
    ],
)
def test_what_does_not_fit(text: str, said: str) -> None:
    used = reader()
    assert read_introspection(used, definition("{}"), node(f"{{{text}}}")) is None
    assert any(said in found for found in problems(used))
    assert "hunter2" not in "".join(problems(used))
