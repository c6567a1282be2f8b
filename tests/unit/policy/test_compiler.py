import gc
from pathlib import Path

import pytest

from gateway.core.chain import ORDER
from gateway.policy import Loaded, PolicyInvalid, Severity, load
from gateway.policy.folder import digest, read_policy
from tests.policy.files import BASE, ENVIRON, NOW


@pytest.fixture
def policy(tmp_path: Path, certs: Path) -> Path:
    (tmp_path / "certs").symlink_to(certs)
    (tmp_path / "policies").mkdir()
    for file in BASE.iterdir():
        (tmp_path / "policies" / file.name).write_text(file.read_text())
    return tmp_path / "policies"


@pytest.fixture
def loaded(policy: Path) -> Loaded:
    return load(policy, ENVIRON, now=NOW)


def refused(policy: Path) -> PolicyInvalid:
    with pytest.raises(PolicyInvalid) as caught:
        load(policy, ENVIRON, now=NOW)
    return caught.value


def test_a_folder_becomes_one_policy(loaded: Loaded) -> None:
    policy = loaded.policy
    assert (policy.name, policy.owner, policy.review_by) == ("psp", "payments-security", "2027-05-01")
    assert [set(part) for part in (policy.listeners, policy.upstreams, policy.issuers, policy.partners)] == [
        {"main"},
        {"psp"},
        {"operator"},
        {"acme-casino"},
    ]
    assert [control.name for control in policy.routes[0].chain] == list(ORDER)
    assert loaded.warnings == ()


def test_one_file_with_all_sections_is_the_same(policy: Path, loaded: Loaded) -> None:
    texts = [(policy / name).read_text().removeprefix("version: 1\n") for name in ("partners.yaml", "routes.yaml")]
    single = policy / "all.yml"
    single.write_text((policy / "gate.yaml").read_text() + "".join(texts))
    alone = load(single, ENVIRON, now=NOW)
    assert alone.policy.routes[0].match == loaded.policy.routes[0].match
    assert alone.policy.digest != loaded.policy.digest


def test_the_digest_names_the_text(policy: Path, loaded: Loaded) -> None:
    assert loaded.policy.digest == digest(read_policy(policy)[0])


def test_a_comment_changes_the_digest(policy: Path, loaded: Loaded) -> None:
    with (policy / "gate.yaml").open("a") as file:
        file.write("# reviewed\n")
    assert load(policy, ENVIRON, now=NOW).policy.digest != loaded.policy.digest


def test_files_are_everything_whose_change_would_matter(policy: Path, loaded: Loaded) -> None:
    names = ("gateway.pem", "gateway.key", "partners-ca.pem", "operator-jwks.json")
    texts = {policy / name for name in ("gate.yaml", "partners.yaml", "routes.yaml")}
    assert loaded.files == {policy, *texts, *(policy / "../certs" / name for name in names)}


def test_a_refused_policy_tells_its_files_too(policy: Path) -> None:
    (policy / "gate.yaml").write_text((policy / "gate.yaml").read_text().replace("gateway.pem", "later.pem"))
    assert policy / "../certs/later.pem" in refused(policy).files


def test_key_sets_stand_by_the_names_of_their_issuers(loaded: Loaded) -> None:
    assert {name: len(keys.keys) for name, keys in loaded.key_sets.items()} == {"operator": 1}


def test_a_key_id_finds_its_secret(loaded: Loaded) -> None:
    key = loaded.policy.partners["acme-casino"].signing_keys["acme-2026-11"]
    assert key.secret.reveal() == ENVIRON["ACME_SIGNING_KEY"].encode()


def test_warnings_do_not_keep_a_policy_from_coming_into_force(policy: Path) -> None:
    (policy / "gate.yaml").write_text((policy / "gate.yaml").read_text().replace("2027-05-01", "2026-05-01"))
    loaded = load(policy, ENVIRON, now=NOW)
    assert [(warning.path, warning.severity) for warning in loaded.warnings] == [("review_by", Severity.WARNING)]


def test_without_a_time_dates_are_not_judged(policy: Path) -> None:
    (policy / "gate.yaml").write_text((policy / "gate.yaml").read_text().replace("2027-05-01", "2001-05-01"))
    assert load(policy, ENVIRON).warnings == ()


def test_the_day_of_the_review_is_not_overdue(policy: Path) -> None:
    (policy / "gate.yaml").write_text((policy / "gate.yaml").read_text().replace("2027-05-01", "2026-11-22"))
    assert load(policy, ENVIRON, now=NOW).warnings == ()


def test_problems_stand_in_the_order_of_the_files(policy: Path) -> None:
    for name in ("routes.yaml", "gate.yaml", "partners.yaml"):
        (policy / name).write_text((policy / name).read_text() + "colour: blue\n")
    places = [(problem.file.name, problem.line) for problem in refused(policy).problems]
    assert places == sorted(places)
    assert len(places) == 3


def test_errors_bring_the_warnings_along(policy: Path) -> None:
    text = (policy / "gate.yaml").read_text().replace("2027-05-01", "2026-05-01")
    (policy / "gate.yaml").write_text(text + "colour: blue\n")
    assert [problem.severity for problem in refused(policy).problems] == [Severity.WARNING, Severity.ERROR]


def test_a_policy_that_is_not_there(tmp_path: Path) -> None:
    invalid = refused(tmp_path / "none")
    assert str(invalid) == f"{tmp_path}/none:1:1: the policy does not exist"
    assert invalid.files == {tmp_path / "none"}


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_collection_is_left_as_it_was(policy: Path, enabled: bool) -> None:
    was = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        load(policy, ENVIRON, now=NOW)
        after = gc.isenabled()
    finally:
        (gc.enable if was else gc.disable)()
    assert after is enabled


def test_a_route_knows_the_scheme_of_its_signatures(loaded: Loaded) -> None:
    signed = {route.name: route.signed_by for route in loaded.policy.routes}
    controls = {route.name: {control.name: control for control in route.chain} for route in loaded.policy.routes}
    assert any(signed.values())
    for name, by in signed.items():
        assert (by is None) == ("signature" not in controls[name])
        assert by is None or by.scheme in str(controls[name]["signature"])
