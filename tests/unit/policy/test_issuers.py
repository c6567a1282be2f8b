from pathlib import Path

import pytest

from gateway.core.issuer import Issuer, KeySource
from gateway.policy.issuers import read_issuer
from tests.policy.files import make_files
from tests.policy.reading import definition, problems, reader

ISSUER = "issuer: 'https://idp.example', algorithms: [ES256]"


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    make_files(folder)
    return folder / "certs"


class TestIssuer:
    def test_defaults(self, certs: Path) -> None:
        text = f"{{issuer: 'https://idp.example', keys: 'file:{certs}/operator-jwks.json', algorithms: [ES256, PS256]}}"
        read = read_issuer(reader(), "operator", definition(text))
        assert read is not None
        keys = certs / "operator-jwks.json"
        assert read[0] == Issuer("operator", "https://idp.example", keys, frozenset({"ES256", "PS256"}), 10.0, "sub")
        assert read[1] is not None
        assert len(read[1].keys) == 1

    def test_every_setting(self, certs: Path) -> None:
        text = (
            f"{{issuer: idp, keys: 'file:{certs}/operator-jwks.json', algorithms: [ES256], skew: 0s, "
            "partner_claim: client_id}"
        )
        read = read_issuer(reader(), "operator", definition(text))
        assert read is not None
        assert (read[0].skew, read[0].partner_claim) == (0.0, "client_id")

    @pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "HS384", "HS512", "RSA1_5", "ES256K", "es256"])
    def test_algorithms_that_prove_nothing_are_refused(self, certs: Path, algorithm: str) -> None:
        text = f"{{issuer: idp, keys: 'file:{certs}/operator-jwks.json', algorithms: [ES256, {algorithm}]}}"
        used = reader()
        assert read_issuer(used, "operator", definition(text)) is None
        assert used.errors == 1


class TestSource:
    def read(self, keys: str) -> KeySource:
        used = reader()
        read = read_issuer(used, "operator", definition(f"{{{ISSUER}, keys: {keys}}}"))
        assert used.problems == []
        assert read is not None
        assert read[1] is None
        assert isinstance(read[0].keys, KeySource)
        return read[0].keys

    def test_a_url(self) -> None:
        assert self.read("'https://idp.example/jwks?v=1'") == KeySource("https://idp.example/jwks?v=1")

    def test_discovery(self) -> None:
        assert self.read("discovery") == KeySource(None)

    def test_every_setting(self, certs: Path) -> None:
        ca = certs / "partners-ca.pem"
        found = self.read(f"{{from: 'https://idp.example/jwks', ca: '{ca}', refresh: 30s, stale: 24h, timeout: 500ms}}")
        assert found == KeySource("https://idp.example/jwks", ca, 30.0, 86_400.0, 0.5)

    def test_plaintext_on_this_machine_in_words(self) -> None:
        assert self.read("{from: 'http://127.0.0.1:8080/jwks', plaintext: 'beside the gate'}").plaintext

    @pytest.mark.parametrize(
        ("keys", "said"),
        [
            ("'http://idp.example/jwks'", "keys must not be fetched without TLS"),
            ("{from: 'http://idp.example/jwks', plaintext: 'no'}", "keys must not be fetched without TLS"),
            ("'http://localhost/jwks'", "keys would be fetched without TLS"),
            ("{from: 'https://idp.example/jwks', plaintext: 'why'}", "`plaintext` has no effect on https://"),
            ("'https://user:secret@idp.example/jwks'", "credentials do not belong into a URL"),
            ("'https://idp.example/jwks#a'", "has a fragment"),
            ("'https:///jwks'", "is no URL that can be fetched"),
            ("{from: 'https://idp.example/jwks', refresh: 10s}", "would ask the issuer too often"),
            ("{from: 'https://idp.example/jwks', stale: 2d}", "would let withdrawn keys count for too long"),
            ("{from: 'https://idp.example/jwks', timeout: 1m}", "is too long for callers to wait"),
            ("{from: 'https://idp.example/jwks', ca: nowhere.pem}", "does not exist"),
            ("{refresh: 1m}", "`from` is missing"),
        ],
    )
    def test_what_does_not_fit(self, keys: str, said: str) -> None:
        used = reader()
        assert read_issuer(used, "operator", definition(f"{{{ISSUER}, keys: {keys}}}")) is None
        assert any(said in found for found in problems(used))
        assert "user:secret" not in "".join(problems(used))

    def test_settings_of_fetching_beside_a_file(self, certs: Path) -> None:
        used = reader()
        text = f"{{{ISSUER}, keys: {{from: 'file:{certs}/operator-jwks.json', refresh: 1m}}}}"
        read_issuer(used, "operator", definition(text))
        assert any("has no effect on a file" in found for found in problems(used))

    @pytest.mark.parametrize("issuer", ["idp", "https://idp.example/?a=b"])
    def test_an_issuer_without_metadata_cannot_be_discovered(self, issuer: str) -> None:
        used = reader()
        text = f"{{issuer: '{issuer}', keys: discovery, algorithms: [ES256]}}"
        assert read_issuer(used, "operator", definition(text)) is None
        assert any("the issuer has no metadata" in found for found in problems(used))
