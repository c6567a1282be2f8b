from ipaddress import ip_address

import pytest

from gateway.policy.lockout import read_lockout
from tests.policy.reading import node, problems, reader


def test_defaults_and_every_setting() -> None:
    used = reader()
    assert read_lockout(used, None) is None
    default = read_lockout(used, node("{after: 10}"))
    found = read_lockout(used, node("{after: 5, within: 1m, for: 1h, except: [203.0.113.0/24]}"))
    assert default is not None
    assert found is not None
    assert (default.after, default.within, default.seconds) == (10, 600.0, 1_800.0)
    assert (found.after, found.within, found.seconds) == (5, 60.0, 3_600.0)
    assert ip_address("203.0.113.7") in found.excepted
    assert used.problems == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "`after` is missing"),
        ("{after: 2}", "`2` does not fit"),
        ("{after: 5, for: 2d}", "longer than a day"),
        ("{after: 5, except: [all]}", "is no network"),
        ("{after: 20}", "PCI DSS 8.3.4 asks for no more than 10"),
        ("{after: 5, for: 5m}", "PCI DSS 8.3.4 asks for at least 30m"),
    ],
)
def test_what_does_not_fit(text: str, said: str) -> None:
    used = reader()
    read_lockout(used, node(text))
    assert any(said in found for found in problems(used))
