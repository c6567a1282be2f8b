from pathlib import Path

import pytest

from gateway.core.message import Instant
from gateway.core.policy import Revocation
from gateway.pki.authority import Authority, Validity
from gateway.policy import revocation
from gateway.policy.inventory import Owner, Role
from gateway.policy.reader import Reader
from gateway.policy.revocation import read_revocation
from tests.crls import DAY, crl, der, pem
from tests.policy.files import NOW
from tests.policy.reading import node, problems, reader

VALID = Validity.around(NOW, days=30)
ROOT = Authority.root("Partners CA", VALID)
ISSUING = ROOT.subordinate("Issuing CA", VALID)
STRANGER = Authority.root("Partners CA", VALID)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "root.crl").write_bytes(pem(crl(ROOT, 5, at=NOW - 60, ends=NOW + DAY)))
    (tmp_path / "issuing.crl").write_bytes(der(crl(ISSUING, 6, 7, at=NOW - 60, ends=NOW + DAY)))
    return tmp_path


def read(folder: Path, text: str, now: Instant | None = NOW) -> tuple[Revocation | None, Reader]:
    """Read the section as that of a listener which trusts the root."""
    used = reader(now)
    used.owner = Owner("listener", "main")
    written = node(text, folder / "p.yaml")
    used.uses(written, Role.AUTHORITY, ROOT.credential.certificate)
    return read_revocation(used, written), used


def test_the_lists_are_read_for_their_listener(folder: Path) -> None:
    found, used = read(folder, "lists: [root.crl, issuing.crl]")
    assert problems(used) == []
    assert found == Revocation((folder / "root.crl", folder / "issuing.crl"))
    assert [len(each) for each in used.revocation_lists["main"]] == [1, 2]
    assert {folder / "root.crl", folder / "issuing.crl"} <= used.files


def test_a_listener_without_the_section_checks_no_revocation() -> None:
    used = reader()
    assert read_revocation(used, None) is None
    assert used.revocation_lists == {}


@pytest.mark.parametrize(
    ("text", "seconds"), [("", 0.0), ("on_stale: deny", 0.0), ("on_stale: allow-until 6h", 21_600.0)]
)
def test_a_list_that_is_out_of_date_counts_as_long_as_the_policy_says(folder: Path, text: str, seconds: float) -> None:
    found, used = read(folder, f"lists: [root.crl]\n{text}")
    assert problems(used) == []
    assert found is not None
    assert found.stale_for == seconds


def test_only_the_leaf_may_be_checked(folder: Path) -> None:
    found, _ = read(folder, "{lists: [root.crl], check: leaf}")
    assert found is not None
    assert found.leaf_only


def test_what_may_be_asked_over_the_network(folder: Path) -> None:
    text = """
      distribution_points: {hosts: [CRL.acme.example, "crl.acme.example:8080", "[::1]:8080"]}
      ocsp: {hosts: [ocsp.acme.example]}
      refresh: 10m
      timeout: 2s
    """
    found, used = read(folder, text)
    assert problems(used) == []  # no list of the CA is needed
    assert found == Revocation(
        point_hosts=frozenset({"crl.acme.example", "crl.acme.example:8080", "::1:8080"}),
        ocsp_hosts=frozenset({"ocsp.acme.example"}),
        refresh=600.0,
        timeout=2.0,
    )
    found, _ = read(folder, "ocsp: {responder: 'http://ocsp.acme.example/x'}")
    assert found is not None
    assert found.responder == "http://ocsp.acme.example/x"
    assert found.asks
    assert not Revocation().asks


def test_a_file_that_did_not_change_is_not_read_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, first = read(folder, "lists: [root.crl]")
    monkeypatch.setattr(revocation, "read_lists", None)
    _, second = read(folder, "lists: [root.crl]")
    assert second.revocation_lists["main"][0] is first.revocation_lists["main"][0]


def test_few_files_are_remembered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocation, "_REMEMBERED", 1)
    read(folder, "lists: [root.crl, issuing.crl]")
    assert len(revocation._known) == 1


def told(folder: Path, text: str, now: Instant | None = NOW) -> list[str]:
    _, used = read(folder, text, now)
    return [line.partition("p.yaml:")[2].replace(f"{folder}/", "") for line in problems(used)]


def test_a_ca_without_a_list_is_warned_of(folder: Path) -> None:
    assert told(folder, "lists: [issuing.crl]") == [
        "1:8: warning: lists: no list of `CN=Partners CA` (whatever it issued is refused: add its list)"
    ]


def test_a_list_that_is_out_of_date_is_warned_of(folder: Path) -> None:
    late = Instant(NOW + DAY + 60)
    (line,) = told(folder, "lists: [root.crl]", late)
    assert line.startswith("1:9: warning: lists[0]: the list of `CN=Partners CA` is out of date since 2026-")
    assert line.endswith("(nobody is let in by it: fetch the next one)")
    (line,) = told(folder, "{lists: [root.crl], on_stale: allow-until 1h}", late)
    assert line.endswith("(it counts for a while yet: fetch the next one)")
    assert told(folder, "lists: [root.crl]", None) == []


def test_a_list_that_another_key_signed_is_an_error(folder: Path) -> None:
    (folder / "root.crl").write_bytes(pem(crl(ROOT, by=STRANGER)))
    (line,) = told(folder, "lists: [root.crl]")
    assert line.startswith("1:9: lists[0]: the list of `CN=Partners CA` is not signed by that CA (")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("lists: []", "1:8: lists: an empty list of files"),
        ("{}", "1:1: nothing tells of revocation (expected `lists`, `distribution_points` or `ocsp`)"),
        ("distribution_points: {}", "1:22: distribution_points: `hosts` is missing"),
        ("distribution_points: {hosts: []}", "1:30: distribution_points.hosts: an empty list of hosts"),
        ("distribution_points: {hosts: ['a b']}", "1:31: distribution_points.hosts[0]: `a b` is no host"),
        ("distribution_points: {hosts: ['a:0']}", "1:31: distribution_points.hosts[0]: `a:0` is no host"),
        ("ocsp: {}", "1:7: ocsp: expected either `hosts` or `responder`"),
        ("ocsp: {hosts: [a], responder: 'http://a/'}", "1:7: ocsp: expected either `hosts` or `responder`"),
        ("ocsp: {responder: 'ldap://a/'}", "1:19: ocsp.responder: `ldap://a/` is no URL that can be fetched"),
        ("lists: [none.crl]", "1:9: lists[0]: file none.crl"),
        ("{lists: [root.crl], on_stale: allow}", "1:31: on_stale: `allow` is no known value (expected `deny`, or"),
        ("{lists: [root.crl], on_stale: allow-until 6}", "1:31: on_stale: `6` has no unit"),
        ("{lists: [root.crl], check: all}", "1:28: check: `all` is no known value"),
        ("{lists: [root.crl], crl: x}", "1:21: crl: unknown key `crl`"),
        (
            "lists: [p.yaml]",
            "1:9: lists[0]: file p.yaml holds no revocation list, PEM (BEGIN X509 CRL) or DER",
        ),
    ],
)
def test_what_is_wrong_is_told(folder: Path, text: str, line: str) -> None:
    (folder / "p.yaml").write_text(text)
    assert any(each.startswith(line) for each in told(folder, text)), told(folder, text)
