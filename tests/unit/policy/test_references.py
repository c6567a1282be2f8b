import shutil
from pathlib import Path

import pytest

from gateway.policy.document import Definition
from gateway.policy.references import authorities, certificates, key_pair, key_set, named_file
from tests.policy.files import NOW, make_files
from tests.policy.reading import definition, problems, reader


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    make_files(folder)
    return folder / "certs"


@pytest.fixture
def certs(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "certs")


def naming(certs: Path, name: str) -> Definition:
    return definition(name, certs / "p.yaml")


def test_paths_are_relative_to_the_file_that_names_them(certs: Path) -> None:
    used = reader()
    assert named_file(used, naming(certs, "../x/gateway.pem").node) == certs / "../x/gateway.pem"
    assert used.files == {certs / "../x/gateway.pem"}


def test_absolute_paths_are_taken_as_they_are(certs: Path) -> None:
    assert named_file(reader(), naming(certs, "/etc/gateway.pem").node) == Path("/etc/gateway.pem")


def test_a_file_that_does_not_exist_is_watched_for(certs: Path) -> None:
    used = reader()
    assert authorities(used, naming(certs, "later.pem").node) is None
    assert used.files == {certs / "later.pem"}


def test_a_key_pair(certs: Path) -> None:
    used = reader()
    pair = key_pair(used, naming(certs, "gateway.pem").node, naming(certs, "gateway.key").node)
    assert pair == (certs / "gateway.pem", certs / "gateway.key")
    assert used.problems == []


def test_both_files_of_a_pair_are_complained_of(certs: Path) -> None:
    used = reader()
    assert key_pair(used, naming(certs, "a.pem").node, naming(certs, "a.key").node) is None
    assert len(used.problems) == 2


def test_a_key_that_others_may_read_is_warned_of(certs: Path) -> None:
    (certs / "gateway.key").chmod(0o640)
    used = reader()
    assert key_pair(used, naming(certs, "gateway.pem").node, naming(certs, "gateway.key").node)
    (said,) = problems(used)
    assert "gateway.key may be read by others than its owner (run `chmod 600` on it)" in said


def test_a_bundle_gives_all_its_certificates(certs: Path) -> None:
    bundle = (certs / "gateway.pem").read_bytes() + (certs / "partners-ca.pem").read_bytes()
    (certs / "bundle.pem").write_bytes(bundle)
    read = certificates(reader(), naming(certs, "bundle.pem").node)
    assert read is not None
    assert len(read[1]) == 2


@pytest.mark.parametrize(("days", "said"), [(-31, "is not valid before 2026-11-21"), (366, "expired on 2027-11-22")])
def test_validity_is_judged_by_the_time_that_is_passed_in(certs: Path, days: int, said: str) -> None:
    used = reader(type(NOW)(NOW + days * 86_400))
    assert certificates(used, naming(certs, "gateway.pem").node)
    assert said in problems(used)[0]


def test_without_a_time_nothing_is_said_of_validity(certs: Path) -> None:
    used = reader(None)
    assert certificates(used, naming(certs, "old.pem").node)
    assert used.problems == []


def test_a_key_set(certs: Path) -> None:
    used = reader()
    read = key_set(used, naming(certs, "file:operator-jwks.json").node)
    assert read is not None
    path, keys = read
    assert path == certs / "operator-jwks.json"
    assert len(keys.keys) == 1
    assert used.problems == []


def test_a_key_that_is_left_out_is_warned_of(certs: Path) -> None:
    text = (certs / "operator-jwks.json").read_text()
    (certs / "two.json").write_text(
        text.replace('"keys": [', '"keys": [{"kty": "EC", "crv": "secp256k1", "kid": "k0"},')
    )
    used = reader()
    assert key_set(used, naming(certs, "file:two.json").node)
    assert problems(used)[0].endswith("keys[0] (kid 'k0'): its curve is 'secp256k1' (it is left out)")


@pytest.mark.parametrize("text", ["operator-jwks.json", "'file:'", "https://idp.example/jwks"])
def test_a_key_set_is_named_as_a_file(certs: Path, text: str) -> None:
    used = reader()
    assert key_set(used, naming(certs, text).node) is None
    assert problems(used)[0].endswith("does not name a file (expected `file:PATH`)")


def test_a_file_beyond_all_measure_is_not_read(certs: Path) -> None:
    with (certs / "huge.pem").open("wb") as file:
        file.truncate(5_000_000)
    used = reader()
    assert authorities(used, naming(certs, "huge.pem").node) is None
    assert "is larger than 4,194,304 bytes" in problems(used)[0]
