from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.console.door import Door, Verdict

HOST = {"Host": "127.0.0.1:8600"}


def token(door: Door) -> str:
    return parse_qs(urlsplit(door.url).query)["token"][0]


@pytest.fixture
def door() -> Door:
    return Door(8600, certificates=False)


def cookie(door: Door) -> dict[str, str]:
    return {**HOST, "Cookie": door.cookie.partition(";")[0]}


def test_the_link_gives_the_cookie_once(door: Door) -> None:
    once = token(door)
    assert door.verdict(HOST, "/enter", once) is Verdict.ENTERS
    assert door.verdict(HOST, "/enter", once) is Verdict.STRANGER
    assert "token" not in door.url


def test_the_cookie_lets_in(door: Door) -> None:
    assert door.verdict(cookie(door), "/") is Verdict.WELCOME
    assert door.cookie.endswith("; Path=/; HttpOnly; SameSite=Strict")


@pytest.mark.parametrize(
    "sent", ["", "gateway-console-8600=", "gateway-console-8600=guess", "=;;", "gateway-console-8600=\udcff", '"']
)
def test_no_other_cookie_does(door: Door, sent: str) -> None:
    assert door.verdict({**HOST, "Cookie": sent}, "/") is Verdict.STRANGER


@pytest.mark.parametrize("guess", [None, "", "guess", "\udcff"])
def test_no_other_token_does(door: Door, guess: str | None) -> None:
    assert door.verdict(HOST, "/enter", guess) is Verdict.STRANGER
    assert door.verdict(HOST, "/enter", token(door)) is Verdict.ENTERS


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8600",
        "127.0.0.1",
        "127.0.0.1:80",
        "127.0.0.1:8600.evil.example",
        "LOCALHOST:8600 ",
    ],
)
def test_under_no_other_name(door: Door, host: str) -> None:
    assert door.verdict({**cookie(door), "Host": host}, "/") is Verdict.NOT_OURS
    assert door.verdict({"Host": host}, "/enter", token(door)) is Verdict.NOT_OURS


@pytest.mark.parametrize("host", ["localhost:8600", "[::1]:8600"])
def test_under_its_names(door: Door, host: str) -> None:
    assert door.verdict({**cookie(door), "Host": host}, "/") is Verdict.WELCOME


@pytest.mark.parametrize(
    ("site", "verdict"),
    [
        ("none", Verdict.WELCOME),
        ("same-origin", Verdict.WELCOME),
        ("same-site", Verdict.ELSEWHERE),
        ("cross-site", Verdict.ELSEWHERE),
    ],
)
def test_other_sites_pages_get_nothing(door: Door, site: str, verdict: Verdict) -> None:
    assert door.verdict({**cookie(door), "Sec-Fetch-Site": site}, "/") is verdict


def test_doors_differ() -> None:
    one, other = Door(8600, certificates=False), Door(8600, certificates=False)
    assert other.verdict(cookie(one), "/") is Verdict.STRANGER


def test_certificates_let_in_without_a_link() -> None:
    door = Door(8600, certificates=True)
    assert door.url == "https://127.0.0.1:8600/"
    assert door.verdict(HOST, "/") is Verdict.WELCOME
    assert door.verdict({"Host": "evil.example:8600"}, "/") is Verdict.NOT_OURS
