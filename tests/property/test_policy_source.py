"""Whatever stands in a policy file, and whatever its form: a policy, or problems; never another exception."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.policy import Loaded, PolicyInvalid, load
from tests.policy.files import BASE, ENVIRON, NOW, make_files

WORDS = (
    "version: 1", "name", "owner", "review_by", "listener", "listeners", "upstreams", "issuers", "partners", "schemes",
    "routes", "identity", "state", "certificate", "networks", "subjects", "signing_keys", "token", "rate_limit",
    "match", "psp", "acme-casino", "operator", "wallet-hmac", "off", "required", "partner", "50/second per partner",
    "60s", "env:ACME_SIGNING_KEY", "file:../certs/gateway.key", "198.51.100.0/24", "2027-05-01", "<<", "null", "~", "",
    "&a", "*a", "!!str", "!x", "\t", "'", '"', "|", "---", "...", "%YAML 1.1", "#", "\u202e", "\ud800"
)  # fmt: skip


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("any")
    make_files(folder)
    (folder / "policies").mkdir()
    return folder / "policies"


def outcome(policies: Path, data: bytes, name: str = "any.yaml") -> Loaded | PolicyInvalid:
    """Load a policy of one file with this content; whatever else is raised fails the test."""
    (policies / name).write_bytes(data)
    try:
        found: Loaded | PolicyInvalid = load(policies / name, ENVIRON, now=NOW)
    except PolicyInvalid as invalid:
        found = invalid
    problems = found.problems if isinstance(found, PolicyInvalid) else found.warnings
    assert problems or isinstance(found, Loaded)
    for problem in problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert str(problem).isprintable()
    return found


def dumped(value: object) -> str:
    """Write a value as YAML's flow style, text as it comes."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{dumped(key)}: {dumped(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(dumped, value)) + "]"
    return str(value)


texts = st.one_of(st.sampled_from(WORDS), st.text(max_size=12), st.integers().map(str), st.floats().map(str))
trees = st.recursive(
    texts,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=5)),
    max_leaves=20,
)
relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@relaxed
@given(data=st.binary(max_size=400))
def test_any_bytes(policies: Path, data: bytes) -> None:
    assert isinstance(outcome(policies, data), PolicyInvalid)


@relaxed
@given(tree=trees)
def test_any_yaml(policies: Path, tree: object) -> None:
    assert isinstance(outcome(policies, dumped(tree).encode("utf-8", "surrogatepass")), PolicyInvalid)


@relaxed
@given(tree=st.dictionaries(st.sampled_from(WORDS[1:13]), trees))
def test_any_sections(policies: Path, tree: dict[str, object]) -> None:
    lines = ["version: 1", *(f"{section}: {dumped(value)}" for section, value in tree.items())]
    assert isinstance(outcome(policies, "\n".join(lines).encode("utf-8", "surrogatepass")), PolicyInvalid)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A valid policy in which one piece of text was replaced by another."""
    texts_of_base = [(BASE / name).read_text() for name in ("gate.yaml", "partners.yaml", "routes.yaml")]
    text = texts_of_base[0] + "".join(other.removeprefix("version: 1\n") for other in texts_of_base[1:])
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 40)))
    put = draw(st.one_of(texts, trees.map(dumped), st.just("")))
    return (text[:start] + put + text[end:]).encode("utf-8", "surrogatepass")


@relaxed
@given(data=damaged())
def test_any_damage(policies: Path, data: bytes) -> None:
    found = outcome(policies, data)
    assert isinstance(found, Loaded | PolicyInvalid)
    if isinstance(found, PolicyInvalid):
        assert ENVIRON["ACME_SIGNING_KEY"] not in str(found)
