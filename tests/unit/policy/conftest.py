from pathlib import Path

import pytest

from tests.policy.files import make_files


@pytest.fixture(scope="session")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of certificates and keys, not to be changed."""
    folder = tmp_path_factory.mktemp("policy")
    make_files(folder)
    return folder / "certs"


@pytest.fixture(scope="session")
def tls(certs: Path) -> str:
    """The section `tls` of a listener whose files are there."""
    return f"tls: {{certificate: {certs}/gateway.pem, key: {certs}/gateway.key, client_ca: {certs}/partners-ca.pem}}"
