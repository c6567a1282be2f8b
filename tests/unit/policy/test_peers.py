from pathlib import Path

import pytest

from gateway.core.policy import ClientCertificate, Endpoint, Upstream
from gateway.policy.peers import read_upstream
from tests.policy.reading import definition, problems, reader


class TestUpstream:
    def test_only_the_url_is_needed(self) -> None:
        upstream = read_upstream(reader(), "psp", definition('{url: "https://psp.internal:9000"}'))
        assert upstream == Upstream("psp", "https", (Endpoint("psp.internal", 9000),))

    def test_every_setting(self, certs: Path) -> None:
        text = (
            f'{{url: "https://psp.internal", ca: {certs}/partners-ca.pem, timeout: {{connect: 500ms, response: 5s}}, '
            f"server_name: PSP.example, client: {{certificate: {certs}/gateway.pem, key: {certs}/gateway.key}}}}"
        )
        upstream = read_upstream(reader(), "psp", definition(text))
        assert upstream == Upstream(
            name="psp",
            scheme="https",
            endpoints=(Endpoint("psp.internal", 443),),
            ca=certs / "partners-ca.pem",
            client=ClientCertificate(certs / "gateway.pem", certs / "gateway.key"),
            server_name="psp.example",
            connect_timeout=0.5,
            response_timeout=5.0,
        )

    def test_several_endpoints(self) -> None:
        text = '{urls: ["https://a.internal", "https://a.internal:8443", "https://[2001:db8::1]"]}'
        upstream = read_upstream(reader(), "psp", definition(text))
        assert upstream is not None
        assert upstream.endpoints == (
            Endpoint("a.internal", 443), Endpoint("a.internal", 8443), Endpoint("2001:db8::1", 443)
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("text", "authority"),
        [
            ('{url: "https://psp.internal"}', None),
            ('{url: "https://psp.internal", host: preserve}', None),
            ('{url: "https://psp.internal", host: upstream}', "psp.internal"),
            ('{url: "https://psp.internal:443", host: upstream}', "psp.internal"),
            ('{url: "http://127.0.0.1:443", host: upstream}', "127.0.0.1:443"),
            ('{url: "https://[2001:db8::1]:8443", host: upstream}', "[2001:db8::1]:8443"),
            ('{urls: ["https://10.0.0.7", "https://10.0.0.8"], host: "Vendor.example:8443"}', "vendor.example:8443"),
        ],
    )
    def test_the_host_that_requests_name(self, text: str, authority: str | None) -> None:
        used = reader()
        upstream = read_upstream(used, "psp", definition(text))
        assert upstream is not None
        assert (upstream.authority, used.errors) == (authority, 0)

    def test_the_files_of_the_gates_certificate_are_watched(self, certs: Path) -> None:
        used = reader()
        text = f"{{url: 'https://a', client: {{certificate: {certs}/gateway.pem, key: {certs}/gateway.key}}}}"
        assert read_upstream(used, "psp", definition(text))
        assert {certs / "gateway.pem", certs / "gateway.key"} <= used.files

    def test_a_key_that_others_may_read_is_warned_of(self, certs: Path, tmp_path: Path) -> None:
        key = tmp_path / "open.key"
        key.write_bytes((certs / "gateway.key").read_bytes())
        key.chmod(0o644)
        used = reader()
        text = f"{{url: 'https://a', client: {{certificate: {certs}/gateway.pem, key: {key}}}}}"
        assert read_upstream(used, "psp", definition(text))
        assert ["may be read by others than its owner" in said for said in problems(used)] == [True]

    @pytest.mark.parametrize(
        ("url", "warned"),
        [
            ("http://10.0.0.1", True),
            ("http://psp.internal", True),
            ("http://127.0.0.2", False),
            ("http://localhost", False),
            ("'http://[::1]'", False),
            ("https://psp.internal", False),
        ],
    )
    def test_unencrypted_requests_may_not_leave_the_machine_unnoticed(self, url: str, warned: bool) -> None:
        used = reader()
        assert read_upstream(used, "psp", definition(f"{{url: {url}}}"))
        assert any("unencrypted" in said for said in problems(used)) is warned
        assert used.errors == 0
