"""What the demo's tests share."""

import pytest

from gateway.demo.credentials import Credentials, make
from tests.unit.demo.world import NOW


@pytest.fixture(scope="session")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    return make(tmp_path_factory.mktemp("world") / "certs", NOW)
