from pathlib import Path

import pytest

from tests.policy.files import make_files


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that a policy in its folder `policies` may name."""
    folder = tmp_path_factory.mktemp("world")
    make_files(folder)
    return folder
