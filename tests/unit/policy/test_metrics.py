import pytest

from gateway.core.policy import Endpoint
from gateway.policy.metrics import read_metrics
from tests.policy.reading import node, problems, reader


@pytest.mark.parametrize(("address", "host"), [("127.0.0.1:9464", "127.0.0.1"), ("'[::1]:9464'", "::1")])
def test_metrics_are_served_on_this_machine(address: str, host: str) -> None:
    used = reader()
    assert read_metrics(used, node(f"address: {address}")) == Endpoint(host, 9464)
    assert used.problems == []


def test_without_the_section_there_are_none() -> None:
    assert read_metrics(reader(), None) is None


def test_other_machines_are_warned_of() -> None:
    used = reader()
    assert read_metrics(used, node("address: 0.0.0.0:9464")) == Endpoint("0.0.0.0", 9464)  # noqa: S104
    (line,) = problems(used)
    assert "1:10: warning: address: metrics are served to other machines" in line


@pytest.mark.parametrize("text", ["{}", "address: here", "{address: '127.0.0.1:1', path: /}"])
def test_what_is_wrong_is_told(text: str) -> None:
    used = reader()
    read_metrics(used, node(text))
    assert len(problems(used)) == 1
