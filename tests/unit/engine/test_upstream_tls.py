import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from gateway.core.policy import ClientCertificate
from gateway.engine.upstream_tls import UpstreamTls
from tests import world
from tests.engine import pki


def test_an_upstream_that_speaks_plain_http_has_no_tls() -> None:
    assert UpstreamTls({}).context(world.upstream()) is None


def test_an_upstream_is_verified_by_its_own_ca_and_its_name(tmp_path: Path) -> None:
    pki.write(tmp_path)
    secure = world.upstream(scheme="https", ca=tmp_path / "operator-ca.pem")
    context = UpstreamTls({"psp": secure}).context(secure)
    assert context is not None
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert [ca["subject"] for ca in context.get_ca_certs()] == [((("commonName", "Operator CA"),),)]


def test_upstreams_with_the_same_ca_share_a_context(tmp_path: Path) -> None:
    pki.write(tmp_path)
    secure = world.upstream(scheme="https", ca=tmp_path / "operator-ca.pem")
    system = world.upstream(scheme="https")
    tls = UpstreamTls({})
    assert tls.context(secure) is tls.context(world.upstream(scheme="https", port=1, ca=secure.ca))
    assert tls.context(secure) is not tls.context(system)


@pytest.mark.parametrize(("content", "error"), [(None, FileNotFoundError), ("-----BEGIN", ssl.SSLError)])
def test_a_ca_that_cannot_be_read_is_an_error(tmp_path: Path, content: str | None, error: type[Exception]) -> None:
    ca = tmp_path / "ca.pem"
    if content is not None:
        ca.write_text(content)
    with pytest.raises(error):
        UpstreamTls({"psp": world.upstream(scheme="https", ca=ca)})


def own(directory: Path, name: str = "partner", key: str | None = None) -> ClientCertificate:
    """Name the gate's own certificate, which stands in one file with its key."""
    return ClientCertificate(directory / f"{name}.pem", directory / f"{key or name}.pem")


def test_upstreams_with_another_certificate_of_the_gate_share_none(tmp_path: Path) -> None:
    pki.write(tmp_path)
    plain = world.upstream(scheme="https", ca=tmp_path / "operator-ca.pem")
    first, second = (
        world.upstream(scheme="https", ca=plain.ca, client=own(tmp_path, name)) for name in ("partner", "other")
    )
    tls = UpstreamTls({"psp": first})
    assert len({tls.context(one) for one in (plain, first, second)}) == 3
    assert tls.context(first) is tls.context(world.upstream(scheme="https", ca=plain.ca, client=own(tmp_path)))


def test_a_key_of_another_certificate_is_an_error(tmp_path: Path) -> None:
    pki.write(tmp_path)
    with pytest.raises(ssl.SSLError, match="mismatch"):
        UpstreamTls({"psp": world.upstream(scheme="https", client=own(tmp_path, "partner", "other"))})


def test_a_key_with_a_passphrase_is_an_error_and_asks_nobody(tmp_path: Path) -> None:
    pki.write(tmp_path)
    key = pki.pki().clients["partner"].key
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase"))
    (tmp_path / "encrypted.pem").write_bytes(encrypted)
    with pytest.raises(ssl.SSLError):
        UpstreamTls({"psp": world.upstream(scheme="https", client=own(tmp_path, "partner", "encrypted"))})
