"""Rules hold for what golden cases show; here, where they must keep still."""

import re
from pathlib import Path

import pytest

from gateway.policy import PolicyInvalid, load
from tests.policy.files import BASE, ENVIRON, NOW

ROUTE = """
  - name: {name}
    match: {match}
    upstream: psp
    partners: [acme-casino]
    mutual_tls: required
    ip_allowlist: partner
    token: {{issuer: operator, audience: psp}}
    rate_limit: ["1/second per partner"]
    signature: {{scheme: wallet-hmac, max_age: 60s}}
    replay: required
"""


@pytest.fixture
def policy(tmp_path: Path, certs: Path) -> Path:
    """The base policy, to be changed."""
    (tmp_path / "certs").symlink_to(certs)
    (tmp_path / "policies").mkdir()
    for file in BASE.iterdir():
        (tmp_path / "policies" / file.name).write_text(file.read_text())
    return tmp_path / "policies"


def change(policy: Path, name: str, right: str, wrong: str) -> None:
    text = (policy / name).read_text()
    assert right in text
    (policy / name).write_text(text.replace(right, wrong))


def said(policy: Path) -> list[str]:
    try:
        return [str(problem) for problem in load(policy, ENVIRON, now=NOW).warnings]
    except PolicyInvalid as invalid:
        return [str(problem) for problem in invalid.problems]


@pytest.mark.parametrize(
    "matches",
    [
        ("{method: POST, path: /a}", "{method: GET, path: /a}"),
        ("{method: POST, path: /a}", "{method: POST, path: /a/}"),
        ("{method: POST, path: '/a/{b}'}", "{method: POST, path: /a/b}"),
        ("{method: POST, path: /a}", "{method: POST, path: /a, host: a.example}"),
        ("{method: POST, path: /a, host: b.example}", "{method: POST, path: /a, host: a.example}"),
        ("{method: POST, path: '/{x}/{y}'}", "{method: POST, path: '/a/{y}'}"),
    ],
)
def test_routes_of_which_one_is_the_more_specific(policy: Path, matches: tuple[str, str]) -> None:
    routes = "".join(ROUTE.format(name=f"r{n}", match=match) for n, match in enumerate(matches))
    (policy / "routes.yaml").write_text(f"version: 1\nroutes:{routes}")
    assert said(policy) == []


def test_a_partner_may_have_keys_of_the_algorithms_of_all_its_routes(policy: Path) -> None:
    gate = (policy / "gate.yaml").read_text()
    scheme = gate.partition("schemes:\n")[2]
    other = scheme.replace("wallet-hmac", "long-hmac").replace("hmac-sha256", "hmac-sha512")
    (policy / "gate.yaml").write_text(f"{gate}\n{other}")
    routes = ROUTE.format(name="other", match="{method: POST, path: /other}").replace("wallet-hmac", "long-hmac")
    (policy / "more.yaml").write_text(f"version: 1\nroutes:{routes}")
    key = "      - {id: acme-long, algorithm: hmac-sha512, encoding: utf-8, secret: env:LONG_SIGNING_KEY}\n"
    with (policy / "partners.yaml").open("a") as file:
        file.write(key)
    warnings = load(policy, {**ENVIRON, "LONG_SIGNING_KEY": "0" * 64}, now=NOW).warnings
    assert warnings == ()


def test_a_key_of_no_scheme_of_the_partners_routes(policy: Path) -> None:
    with (policy / "partners.yaml").open("a") as file:
        file.write("      - {id: acme-long, algorithm: hmac-sha512, secret: env:LONG_SIGNING_KEY}\n")
    with pytest.raises(PolicyInvalid) as caught:
        load(policy, {**ENVIRON, "LONG_SIGNING_KEY": "0" * 64}, now=NOW)
    assert "key `acme-long` fits no scheme of its partner's routes (expected hmac-sha256)" in str(caught.value)


def test_keys_that_no_route_asks_for(policy: Path) -> None:
    change(policy, "routes.yaml", "{scheme: wallet-hmac, max_age: 60s}", "{off: later}")
    change(policy, "routes.yaml", "replay: required", "replay: {off: later}")
    (unused_scheme, unused_key) = said(policy)
    assert "scheme `wallet-hmac` is not used" in unused_scheme
    assert "key `acme-2026-11` is not used (no route asks this partner for signatures)" in unused_key


def test_while_a_scheme_is_faulty_keys_are_not_judged(policy: Path) -> None:
    change(policy, "gate.yaml", "algorithm: hmac-sha256", "algorithm: hmac-sha512x")
    assert len(said(policy)) == 1


def test_partners_that_cannot_pass_are_no_fault_where_everyone_may_call(policy: Path) -> None:
    change(policy, "routes.yaml", "partners: [acme-casino]", "partners: {off: any partner may deposit}")
    (policy / "more.yaml").write_text("version: 1\npartners:\n  other: {certificate: {san_dns: other.example}}\n")
    assert said(policy) == []


def test_token_and_signature_in_fields_of_their_own(policy: Path) -> None:
    change(policy, "gate.yaml", "X-Key-Id", "Authorization")
    assert "field `authorization` cannot carry both token and signature" in said(policy)[0]


@pytest.mark.parametrize("networks", ["['::/0']", "[10.0.0.0/8, 0.0.0.0/0]"])
def test_an_allowlist_that_allows_everything(policy: Path, networks: str) -> None:
    change(policy, "routes.yaml", "ip_allowlist: partner", f"ip_allowlist: {networks}")
    assert "lets every address pass" in said(policy)[0]


# State that workers share


def needs_shared_state(policy: Path) -> list[tuple[str, str]]:
    """Give path and message of what keeps several workers from serving the policy."""
    try:
        load(policy, ENVIRON, now=NOW, shared_state=False)
    except PolicyInvalid as invalid:
        return [(problem.path, problem.message) for problem in invalid.problems]
    return []


def test_controls_that_count_or_remember_need_state_that_is_shared(policy: Path) -> None:
    assert said(policy) == []
    found = needs_shared_state(policy)
    assert [path for path, _ in found] == ["routes[0].rate_limit", "routes[0].replay"]
    assert [message.rpartition(": ")[2] for _, message in found] == [
        f"several workers need a store they share for {control}" for control in ("rate_limit", "replay")
    ]
    assert all(message.startswith("route `deposit`: ") for _, message in found)


def test_lock_outs_need_state_that_is_shared(policy: Path) -> None:
    (policy / "lockout.yaml").write_text("version: 1\nlockout: {after: 10}\n")
    found = needs_shared_state(policy)
    assert ("lockout", "several workers need a store they share to count failed authentications") in found
    assert said(policy) == []


def test_each_control_is_told_of_by_itself(policy: Path) -> None:
    change(policy, "routes.yaml", "replay: required", 'replay: {off: "the upstream remembers"}')
    assert [path for path, _ in needs_shared_state(policy)] == ["routes[0].rate_limit"]


def test_what_is_switched_off_shares_nothing(policy: Path) -> None:
    text = (policy / "routes.yaml").read_text()
    text = re.sub(r"( *)(rate_limit|replay): .*", r'\1\2: {off: "the upstream does it"}', text)
    (policy / "routes.yaml").write_text(text)
    assert needs_shared_state(policy) == []


def test_shared_state_is_told_beside_everything_else(policy: Path) -> None:
    change(policy, "routes.yaml", "mutual_tls: required", "mutual_tls: maybe")
    assert [path for path, _ in needs_shared_state(policy)] == [
        "routes[0].mutual_tls",
        "routes[0].rate_limit",
        "routes[0].replay",
    ]


def test_a_store_that_is_shared_lifts_it_and_needs_more_for_money(policy: Path) -> None:
    change(policy, "gate.yaml", "version: 1\n", "version: 1\nstate: {store: valkey, embedded: true}\n")
    assert needs_shared_state(policy) == []
    change(
        policy,
        "routes.yaml",
        "replay: required",
        "replay: required\n    idempotency: {key: {header: Idempotency-Key}, remember: 24h}",
    )
    assert needs_shared_state(policy) == [
        ("routes[0].idempotency", "route `deposit`: idempotency in a shared store needs `state.secret`"),
        ("routes[0].idempotency", "route `deposit`: idempotency in a shared store needs `state.after_loss`"),
    ]
    change(policy, "gate.yaml", "embedded: true}", "embedded: true, secret: env:ACME_SIGNING_KEY, after_loss: 1h}")
    assert needs_shared_state(policy) == []


def test_requests_in_flight_are_those_of_a_partner_and_of_all_workers(policy: Path) -> None:
    change(policy, "routes.yaml", "    replay: required\n", "    replay: required\n    concurrency: {per_partner: 2}\n")
    assert said(policy) == []
    with pytest.raises(PolicyInvalid) as caught:
        load(policy, ENVIRON, now=NOW, shared_state=False)
    assert any("need a store they share for concurrency" in str(problem) for problem in caught.value.problems)
    for control in ("mutual_tls: required", "ip_allowlist: partner"):
        change(policy, "routes.yaml", control, control.split(":")[0] + ': {off: "everyone may call"}')
    text = (policy / "routes.yaml").read_text()
    for control in ("token", "rate_limit", "signature", "replay"):
        text = re.sub(rf"^    {control}: .*$", f'    {control}: {{off: "everyone may call"}}', text, flags=re.MULTILINE)
    (policy / "routes.yaml").write_text(text)
    assert any("belongs to a partner, and no control can tell who calls" in each for each in said(policy))
