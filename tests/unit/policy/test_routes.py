import pytest

from gateway.controls.mutual_tls import MutualTls
from gateway.controls.rate_limit import RateLimits
from gateway.core.policy import Endpoint, Match, SwitchedOff, Upstream
from gateway.policy.extensions import Extensions
from gateway.policy.outward import Outward
from gateway.policy.partners import PartnerReader
from gateway.policy.reader import Reader
from gateway.policy.routes import RouteEntry, RouteReader
from gateway.policy.settings import Settings
from gateway.policy.tables import Table
from tests.policy.reading import definition, node, problems, reader, scalar

OFF = dict.fromkeys(("ip_allowlist", "token", "signature", "replay"), "{off: not now}")


def route(used: Reader, **changed: str | None) -> RouteEntry | None:
    """Read one route; a key that is None is left out."""
    upstreams: Table[Upstream] = Table("upstream")
    upstreams.add("psp", scalar("psp"), Upstream("psp", "http", (Endpoint("127.0.0.1", 9000),)))
    partners = PartnerReader(used, Table("issuer"))
    known = Table[object]("partner")
    acme = partners.read("acme", definition("{certificate: {san_uri: 'urn:acme'}}"))
    known.add("acme", scalar("acme"), acme)
    settings = Settings(used, Table("issuer"), Table("scheme"), Extensions({}))
    keys: dict[str, str | None] = {
        "name": "deposit",
        "match": "{method: POST, path: /v1/deposits}",
        "upstream": "psp",
        "partners": "[acme]",
        "rate_limit": "[1/second per route]",  # before mutual_tls: the policy's order means nothing
        "mutual_tls": "required",
        **OFF,
        **changed,
    }
    text = ", ".join(f"{key}: {value}" for key, value in keys.items() if value is not None)
    outward = Outward(used, Table("scheme"), Table("gateway key"))
    return RouteReader(used, upstreams, known, settings, (), outward).read(node(f"{{{text}}}"))  # type: ignore[arg-type]


def matched(match: str) -> Match:
    used = reader()
    entry = route(used, match=match)
    assert used.problems == []
    assert entry is not None
    assert entry.match is not None
    return entry.match


def complaints(**changed: str | None) -> list[str]:
    used = reader()
    route(used, **changed)
    return [said.partition(": ")[2] for said in problems(used)]


def test_a_compiled_route() -> None:
    used = reader()
    entry = route(used)
    assert used.problems == []
    assert entry is not None
    compiled = entry.compiled({})
    assert (compiled.name, compiled.upstream.name, compiled.partners) == ("deposit", "psp", {"acme"})
    assert compiled.match == Match(frozenset({"POST"}), "/v1/deposits", None)
    assert compiled.body_limit == 65_536
    assert compiled.switched_off == tuple(SwitchedOff(name, "not now") for name in OFF)


def test_the_chain_stands_in_the_gates_order_whatever_the_policys() -> None:
    entry = route(reader())
    assert entry is not None
    assert [type(control) for control in entry.compiled({}).chain] == [MutualTls, RateLimits]


def test_partners_are_switched_off_in_words() -> None:
    entry = route(reader(), partners="{off: public health check}")
    assert entry is not None
    compiled = entry.compiled({})
    assert compiled.partners is None
    assert compiled.switched_off[0] == SwitchedOff("partners", "public health check")


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ("{method: GET, path: /}", Match(frozenset({"GET"}), "/")),
        ("{methods: [GET, HEAD], path: /a/}", Match(frozenset({"GET", "HEAD"}), "/a/")),
        ("{method: GET, path: '/a/{b}/c'}", Match(frozenset({"GET"}), "/a/{b}/c")),
        ("{method: GET, path: /a, host: A.Example.}", Match(frozenset({"GET"}), "/a", frozenset({"a.example"}))),
        ("{method: GET, path: /a, hosts: [a, b]}", Match(frozenset({"GET"}), "/a", frozenset({"a", "b"}))),
        ("{method: GET, path: '/a%20b'}", Match(frozenset({"GET"}), "/a%20b")),
    ],
)
def test_matches(match: str, expected: Match) -> None:
    assert matched(match) == expected


@pytest.mark.parametrize(
    "path",
    [
        *(
            "a",
            "''",
            "/a//b",
            "/a/./b",
            "/a/..",
            "/a;b",
            "/a%2Fb",
            "/a%41",
            "/a b",
            "/é",
            "/a?b",
            "'/a#b'",
            "http://x/a",
        ),
        *("'/{a}b'", "'/{}'", "'/{a b}'", "'/a{b'", "'/a}b'", "'/{a}/{a}'", "'/{{a}}'", "'/a\\b'"),
    ],
)
def test_paths_that_no_request_can_have(path: str) -> None:
    (said,) = complaints(match=f"{{method: GET, path: {path}}}")
    assert said.startswith("match.path: ")


@pytest.mark.parametrize("control", ["mutual_tls", "ip_allowlist", "token", "rate_limit", "signature", "replay"])
def test_every_control_is_named(control: str) -> None:
    (said,) = complaints(**{control: None})
    assert said.startswith(f"the control `{control}` is not named (expected `{control}: ")


@pytest.mark.parametrize("key", ["name", "match", "upstream", "partners"])
def test_every_route_says_what_it_is_about(key: str) -> None:
    assert complaints(**{key: None})[0].startswith(f"`{key}` is missing")


def test_a_body_limit() -> None:
    entry = route(reader(), body="{limit: 1MiB}")
    assert entry is not None
    assert entry.body_limit == 1_048_576


def test_faults_of_all_parts_are_told_together() -> None:
    said = complaints(
        name="a b", match="{path: b}", upstream="pps", partners="[amce]", mutual_tls="off", body="{limit: 1}"
    )
    assert [one.partition(":")[0] for one in said] == [
        "partners[0]",
        "name",
        "match.path",
        "match",
        "upstream",
        "mutual_tls",
        "body.limit",
    ]
