"""A control of a third party, installed as a package would be: a module and its metadata on the import path."""

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from gateway.core.chain import ORDER
from gateway.policy import PolicyInvalid, load
from gateway.policy.extensions import GROUP, Extensions
from tests.policy.files import BASE, ENVIRON, NOW
from tests.policy.reading import node, problems, reader

MODULE = """
from dataclasses import dataclass
from typing import ClassVar

from gateway.core.chain import NOTHING
from gateway.core.reasons import Denied, Reason
from gateway.policy.values import whole_seconds


@dataclass(frozen=True)
class OfficeHours:
    opens: int
    name: ClassVar[str] = "office_hours"

    def check(self, exchange):
        if exchange.now % 86_400 < self.opens:
            raise Denied(Reason.ROUTE_UNKNOWN, "closed")
        return NOTHING


class Kind:
    def compile(self, reader, node):
        fields = reader.fields(node, required=("opens",)) or {}
        opens = reader.value(fields.get("opens"), whole_seconds)
        return OfficeHours(opens) if opens is not None else None


class Raising:
    def compile(self, reader, node):
        raise RuntimeError(f"secret: {node}")


class Silent:
    def compile(self, reader, node):
        return None


class Other:
    def compile(self, reader, node):
        return type("Misnamed", (), {"name": "token", "check": print})()


class Empty:
    def compile(self, reader, node):
        return object()


empty = Empty()
kind, raising, silent, other, nothing = Kind(), Raising(), Silent(), Other(), object()
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    site = tmp_path / "site"
    metadata = site / "office_hours-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "gateway_office_hours.py").write_text(MODULE)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: office-hours\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        f"[{GROUP}]\noffice_hours = gateway_office_hours:kind\ntoken = gateway_office_hours:raising\n"
    )
    monkeypatch.syspath_prepend(site)
    return tmp_path


@pytest.fixture
def policy(installed: Path, certs: Path) -> Path:
    (installed / "certs").symlink_to(certs)
    (installed / "policies").mkdir()
    for file in BASE.iterdir():
        (installed / "policies" / file.name).write_text(file.read_text())
    return installed / "policies"


def name_it(policy: Path, setting: str) -> None:
    with (policy / "routes.yaml").open("a") as file:
        file.write(f"    office_hours: {setting}\n")


@pytest.mark.usefixtures("installed")
def test_what_is_installed_is_found_and_cannot_replace_a_control() -> None:
    assert set(Extensions.find().installed) == {"office_hours"}


def test_a_route_that_does_not_name_it_does_without(policy: Path) -> None:
    (route,) = load(policy, ENVIRON, now=NOW).policy.routes
    assert [control.name for control in route.chain] == list(ORDER)


def test_a_route_that_names_it_has_it_behind_the_built_in_ones(policy: Path) -> None:
    name_it(policy, "{opens: 8h}")
    (route,) = load(policy, ENVIRON, now=NOW).policy.routes
    assert [control.name for control in route.chain] == [*ORDER, "office_hours"]
    assert route.chain[-1].opens == 28_800  # type: ignore[attr-defined]


def test_it_is_switched_off_in_words_like_the_others(policy: Path) -> None:
    name_it(policy, "{off: always open}")
    (route,) = load(policy, ENVIRON, now=NOW).policy.routes
    assert [(off.control, off.because) for off in route.switched_off] == [("office_hours", "always open")]


def test_its_problems_have_their_places(policy: Path) -> None:
    name_it(policy, "{open: 8h}")
    with pytest.raises(PolicyInvalid) as caught:
        load(policy, ENVIRON, now=NOW)
    assert [str(problem).partition("routes.yaml:")[2] for problem in caught.value.problems] == [
        "15:19: routes[0].office_hours: `opens` is missing",
        "15:20: routes[0].office_hours.open: unknown key `open` (did you mean `opens`?)",
    ]


@pytest.mark.parametrize(
    ("attribute", "said"),
    [
        (
            "raising",
            "control `office_hours` failed with RuntimeError (its entry point is gateway_office_hours:raising)",
        ),
        ("silent", "control `office_hours` does not take this setting (see its documentation)"),
        ("other", "control `office_hours` gave no control of its name (named `token`)"),
        ("empty", "control `office_hours` gave no control of its name (named `None`)"),
        ("nothing", "`gateway_office_hours:nothing` is no kind of control (it has no method `compile`)"),
        (
            "absent",
            "control `office_hours` failed with AttributeError (its entry point is gateway_office_hours:absent)",
        ),
    ],
)
@pytest.mark.usefixtures("installed")
def test_foreign_code_that_fails_is_a_problem_of_the_policy(attribute: str, said: str) -> None:
    entry = EntryPoint("office_hours", f"gateway_office_hours:{attribute}", GROUP)
    used = reader()
    assert Extensions({"office_hours": entry}).compile("office_hours", used, node("hunter2")) is None
    assert problems(used) == [f"p.yaml:1:1: {said}"]


def test_a_control_that_is_not_installed_is_an_unknown_key(policy: Path) -> None:
    with (policy / "routes.yaml").open("a") as file:
        file.write("    business_hours: {opens: 8h}\n")
    with pytest.raises(PolicyInvalid) as caught:
        load(policy, ENVIRON, now=NOW)
    assert "routes[0].business_hours: unknown key `business_hours`" in str(caught.value)
