from pathlib import Path

import pytest

from gateway.core.publication import AuditSettings, Retention
from gateway.policy.audit import read_audit
from gateway.policy.problem import Severity
from tests.policy.files import ENVIRON
from tests.policy.reading import node, reader
from tests.unit.audit.witness import Witness

WITNESS = Witness("").public


def test_without_the_section_the_defaults_of_the_core_hold() -> None:
    used = reader()
    assert read_audit(used, None) == AuditSettings()
    assert used.problems == []


def test_every_setting(tmp_path: Path) -> None:
    key = tmp_path / "audit.key"
    key.write_text("PRIVATE+KEY+a+12345678+AAAA\n")
    key.chmod(0o600)
    used = reader()
    text = f"{{origin: audit.example.com/psp, key: {key}, interval: 1m, durability: fsync}}"
    assert read_audit(used, node(text)) == AuditSettings("audit.example.com/psp", key, 60.0, durable=True)
    assert used.problems == []
    assert used.files == {key}


def test_where_checkpoints_go(tmp_path: Path) -> None:
    used = reader()
    witness = f"{{url: 'https://w.example/w1/', key: '{WITNESS}'}}"
    text = f"{{copies: [stdout, syslog, 'file:{tmp_path}/copies.txt'], witnesses: [{witness}]}}"
    read = read_audit(used, node(text))
    assert used.problems == []
    assert read.copies == ("stdout", "syslog", f"file:{tmp_path}/copies.txt")
    assert [(one.url, one.key, one.name) for one in read.witnesses] == [
        ("https://w.example/w1", WITNESS, "witness.example/w1")
    ]
    assert used.files == set()  # the gate itself changes them


def test_how_long_files_are_kept() -> None:
    used = reader()
    assert read_audit(used, None).retention is None
    assert read_audit(used, node("{retention: {}}")).retention == Retention(90 * 86_400, 365 * 86_400)
    assert used.problems == []
    assert read_audit(used, node("{retention: {at_hand: 1d, keep: 30d}}")).retention == Retention(86_400, 30 * 86_400)
    (warning,) = used.problems
    assert warning.severity is Severity.WARNING
    assert warning.message == "shorter than PCI DSS 10.5.1 asks for"
    used = reader()
    read_audit(used, node("{retention: {keep: 80d}}"))
    assert [problem.message for problem in used.problems if problem.severity is Severity.ERROR] == [
        "longer at hand than kept"
    ]


def test_durability_of_the_kernel_in_words() -> None:
    assert not read_audit(reader(), node("{durability: os}")).durable


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{origin: a b}", "`a b` cannot name a log"),
        ("{origin: a+b}", "`a+b` cannot name a log"),
        ("{interval: 999ms}", "`999ms` does not fit"),
        ("{interval: 61m}", "`61m` does not fit"),
        ("{durability: disk}", "`disk` is no durability"),
        ("{copies: []}", "an empty list of places such as stdout, syslog or file:PATH"),
        ("{copies: [stderr]}", "`stderr` is no place for copies"),
        ("{copies: ['file:']}", "`file:` is no place for copies"),
        ("{copies: ['file:${']}", "`${` has a `${` without the name of a variable"),
        (f"{{witnesses: [{{url: 'http://w.example', key: '{WITNESS}'}}]}}", "`http://w.example` is not encrypted"),
        (f"{{witnesses: [{{url: 'https://w.example?a', key: '{WITNESS}'}}]}}", "`https://w.example?a` has a query"),
        ("{witnesses: [{url: 'https://w.example'}]}", "`key` is missing"),
        ("{witnesses: [{url: 'https://w.example', key: 'a+b+c'}]}", "`a+b+c` is no key of a witness"),
        ("{witnesses: [{url: 'https://w.example', key: 'a+b+BAAA'}]}", "`a+b+BAAA` is no key of a witness"),
        ("{keep: 1d}", "unknown key `keep`"),
    ],
)
def test_what_is_refused(text: str, told: str) -> None:
    used = reader()
    read_audit(used, node(text))
    assert [problem.message for problem in used.problems] == [told]


def test_a_file_that_is_no_key(tmp_path: Path) -> None:
    key = tmp_path / "audit.key"
    key.write_text("-----BEGIN PRIVATE KEY-----\n")
    key.chmod(0o600)
    used = reader()
    assert read_audit(used, node(f"{{key: {key}}}")).key is None
    assert "holds no key for checkpoints" in used.problems[0].message
    key.chmod(0o640)
    used = reader()
    read_audit(used, node(f"{{key: {key}}}"))
    assert "mode 0640" in used.problems[0].message


def test_values_that_are_logged_as_digests() -> None:
    used = reader()
    of = "['header:X-Player-Id', 'query:player', 'claim:sub', 'json:/a/0']"
    text = f"{{digests: {{secret: 'env:AUDIT_DIGEST_KEY', of: {of}}}}}"
    digests = read_audit(used, node(text)).digests
    assert used.problems == []
    assert digests is not None
    assert digests.secret.reveal() == ENVIRON["AUDIT_DIGEST_KEY"].encode()
    assert [of.label for of in digests.of] == ["header:x-player-id", "query:player", "claim:sub", "json:/a/0"]


@pytest.mark.parametrize("of", ["body:a", "json:a", "query:", "claim:", "player", f"query:{'x' * 65}"])
def test_what_is_no_place_of_a_value(of: str) -> None:
    used = reader()
    assert read_audit(used, node(f"{{digests: {{secret: 'env:AUDIT_DIGEST_KEY', of: ['{of}']}}}}")).digests is None
    assert "is no place of a value" in used.problems[0].message


def test_too_many_digests_or_a_secret_too_short() -> None:
    used = reader()
    many = ", ".join(f"'query:q{number}'" for number in range(9))
    read_audit(used, node(f"{{digests: {{secret: 'env:SHORT_SIGNING_KEY', of: [{many}]}}}}"))
    assert [problem.message for problem in used.problems] == ["the secret has 13 bytes, too few", "too many"]


def test_a_key_and_the_one_before(tmp_path: Path) -> None:
    old, new = tmp_path / "old.key", tmp_path / "new.key"
    for path in (old, new):
        path.write_text("PRIVATE+KEY+a+12345678+AAAA\n")
        path.chmod(0o600)
    used = reader()
    read = read_audit(used, node(f"{{key: {new}, previous_key: {old}}}"))
    assert (read.key, read.previous_key) == (new, old)
    assert used.problems == []
    read_audit(used, node(f"{{previous_key: {old}}}"))
    assert [problem.message for problem in used.problems] == ["a previous key without a new one"]
