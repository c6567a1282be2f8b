import pytest

from gateway.core.routing import Entry, RouteTable, is_parameter, overlap

GET = frozenset({"GET"})
HOST = "api.psp.example"


def table(*templates: str) -> RouteTable[str]:
    return RouteTable([(GET, template, None, template) for template in templates])


def found(routes: RouteTable[str], path: str, host: str = HOST) -> str | None:
    methods = routes.find(host, path)
    return methods["GET"] if methods is not None else None


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/", "/"),
        ("/v1/players", "/v1/players"),
        ("/v1/players/", None),
        ("/v1/players/p-1", "/v1/players/{player}"),
        ("/v1/players/me", "/v1/players/me"),
        ("/v1/players/p-1/limits", "/v1/players/{player}/limits"),
        ("/v1/players/me/limits", "/v1/players/{player}/limits"),
        ("/v1/players/me/wallet", "/v1/players/me/wallet"),
        ("/v1/players//limits", None),
        ("/v1/players/p-1/limits/x", None),
        ("/v1/players/{player}", "/v1/players/{player}"),
        ("/v1", None),
        ("/V1/players", None),
        ("", "/"),
    ],
)
def test_the_most_specific_template_is_found(path: str, template: str | None) -> None:
    routes = table(
        "/",
        "/v1/players",
        "/v1/players/{player}",
        "/v1/players/me",
        "/v1/players/{player}/limits",
        "/v1/players/me/wallet",
    )
    assert found(routes, path) == template


@pytest.mark.parametrize("templates", [("/{a}/x", "/b/y"), ("/b/y", "/{a}/x")])
def test_a_literal_that_leads_nowhere_gives_way_to_a_parameter(templates: tuple[str, str]) -> None:
    assert found(table(*templates), "/b/x") == "/{a}/x"


def test_a_path_of_many_segments_is_looked_up_as_deep_as_templates_go() -> None:
    assert found(table("/{a}/{b}"), "/x" * 4000) is None


class TestHosts:
    ENTRIES: tuple[Entry[str], ...] = (
        (GET, "/v1/a", frozenset({HOST, "api2.psp.example"}), "psp"),
        (GET, "/v1/a", frozenset({"api.pam.example"}), "pam"),
        (GET, "/v1/{any}", None, "any"),
    )

    @pytest.mark.parametrize(
        ("host", "path", "value"),
        [
            (HOST, "/v1/a", "psp"),
            ("api2.psp.example", "/v1/a", "psp"),
            ("api.pam.example", "/v1/a", "pam"),
            ("evil.example", "/v1/a", "any"),
            (HOST, "/v1/b", "any"),
            (HOST, "/v2", None),
        ],
    )
    def test_a_route_with_hosts_wins_over_one_without(self, host: str, path: str, value: str | None) -> None:
        assert found(RouteTable(self.ENTRIES), path, host) == value

    def test_nothing_matches_a_foreign_host_where_every_route_has_hosts(self) -> None:
        assert found(RouteTable(self.ENTRIES[:2]), "/v1/a", "evil.example") is None


def test_methods_stand_side_by_side() -> None:
    routes = RouteTable([(GET, "/a", None, "read"), (frozenset({"POST", "PUT"}), "/a", None, "write")])
    assert routes.find(HOST, "/a") == {"GET": "read", "POST": "write", "PUT": "write"}


def test_methods_of_a_literal_hide_those_of_a_parameter() -> None:
    routes = RouteTable([(GET, "/a/b", None, "read"), (frozenset({"POST"}), "/a/{x}", None, "write")])
    assert routes.find(HOST, "/a/b") == {"GET": "read"}


@pytest.mark.parametrize(("one", "other"), [("/a", "/a"), ("/a/{x}", "/a/{y}")])
def test_two_routes_for_the_same_requests_are_refused(one: str, other: str) -> None:
    with pytest.raises(ValueError, match="two routes for GET"):
        table(one, other)


@pytest.mark.parametrize(("segment", "expected"), [("{x}", True), ("x", False), ("{x", False), ("", False)])
def test_a_parameter_stands_in_braces(segment: str, expected: bool) -> None:
    assert is_parameter(segment) is expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param("/a/b", "/a/b", True, id="the same"),
        pytest.param("/{x}", "/{y}", True, id="the same by another name"),
        pytest.param("/a/{x}", "/{y}/b", True, id="neither is more specific"),
        pytest.param("/a/{x}", "/a/b", False, id="the second is more specific"),
        pytest.param("/a/b/c", "/{x}/b/c", False, id="the first is more specific"),
        pytest.param("/a/{x}", "/b/{x}", False, id="no path fits both"),
        pytest.param("/a/{x}/c", "/{y}/b/d", False, id="no path fits both at the end"),
        pytest.param("/a", "/a/{x}", False, id="another length"),
    ],
)
def test_templates_overlap_where_neither_is_more_specific(one: str, other: str, expected: bool) -> None:
    assert overlap(one, other) is expected
    assert overlap(other, one) is expected
