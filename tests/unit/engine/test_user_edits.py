from collections.abc import Callable

import pytest
from mitmproxy import http

from gateway.engine.user_edits import (
    MAX_ADDED,
    ForbiddenEdit,
    added_to_request,
    changed_in_response,
    check_parts,
    names_of_changes,
    request_parts,
    response_parts,
)

type Lines = tuple[tuple[bytes, bytes], ...]

BEFORE: Lines = ((b"host", b"a"), (b"accept", b"*/*"), (b"accept", b"a/b"), (b"x-gateway-partner", b"acme"))
ANSWER: Lines = ((b"Server", b"u"), (b"Content-Length", b"2"), (b"x-gateway-request-id", b"1"))


def covered(name: str) -> bool:
    return name.startswith("x-gateway-")


def request() -> http.Request:
    return http.Request.make("POST", "https://api.example/v1?a=1", b"{}", {"a": "1"})


# Parts


def test_a_message_that_nobody_touched_is_what_it_was() -> None:
    made = request()
    before = request_parts(made)
    check_parts(before, request_parts(made))
    answer = http.Response.make(200, b"{}")
    check_parts(response_parts(answer), response_parts(answer.copy()))


def test_reading_a_message_changes_nothing() -> None:
    made = request()
    before, lines = request_parts(made), made.headers.fields
    assert (made.text, made.json(), made.query["a"], made.pretty_host, dict(made.cookies)) == (
        "{}", {}, "1", "api.example", {},
    )  # fmt: skip
    check_parts(before, request_parts(made))
    assert made.headers.fields == lines


def rename(made: http.Request) -> None:
    made.method = "GET"


def reroute(made: http.Request) -> None:
    made.path = "/"


def rewrite(made: http.Request) -> None:
    made.content = b"[]"


def trail(made: http.Request) -> None:
    made.trailers = http.Headers(a="1")


@pytest.mark.parametrize(
    ("change", "part"), [(rename, "method"), (reroute, "path"), (rewrite, "body"), (trail, "trailers")]
)
def test_a_part_that_differs_is_named(change: Callable[[http.Request], None], part: str) -> None:
    made = request()
    before = request_parts(made)
    change(made)
    with pytest.raises(ForbiddenEdit, match=f"it changed the {part}"):
        check_parts(before, request_parts(made))


# Fields of a request


@pytest.mark.parametrize("place", range(len(BEFORE) + 1))
def test_a_new_field_may_stand_anywhere(place: int) -> None:
    after = (*BEFORE[:place], (b"X-Risk", b"l\xe9w"), *BEFORE[place:])
    assert added_to_request(BEFORE, after, covered) == [("x-risk", "léw")]


def test_nothing_was_added_to_what_is_the_same() -> None:
    assert added_to_request(BEFORE, BEFORE, covered) == []


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (BEFORE[1:], "changed the field host"),
        (BEFORE[:2] + BEFORE[3:], "changed the field accept"),
        ((*BEFORE, BEFORE[1]), "changed the field accept"),
        ((*BEFORE, (b"Accept", b"*/*")), "changed the field accept"),
        ((BEFORE[0], BEFORE[2], BEFORE[1], BEFORE[3]), "changed the field order"),
        (((b"Host", b"a"), *BEFORE[1:]), "changed the field host"),
        ((), "changed the field accept"),
    ],
)
def test_fields_that_are_there_stay_as_they_are(after: Lines, words: str) -> None:
    with pytest.raises(ForbiddenEdit, match=words):
        added_to_request(BEFORE, after, covered)


@pytest.mark.parametrize(
    "name",
    [b"Connection", b"te", b"content-length", b"content-type", b"Authorization", b"cookie", b"x-gateway-role"],
)
def test_fields_that_carry_what_was_verified_or_frame_the_body_are_not_added(name: bytes) -> None:
    with pytest.raises(ForbiddenEdit, match=f"it added the field {name.decode().lower()}"):
        added_to_request(BEFORE, (*BEFORE, (name, b"1")), covered)


@pytest.mark.parametrize("value", [b"a\r\nb: 1", b"a\nb", b"a\0", b" a", b"a\t", b"\x7f"])
def test_a_value_stays_within_its_line(value: bytes) -> None:
    with pytest.raises(ForbiddenEdit, match="it gave the field x-a a value that is not valid"):
        added_to_request(BEFORE, (*BEFORE, (b"x-a", value)), covered)


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a\r\n", b"a_b", b"\xe9", b"a" * 129])
def test_a_name_is_a_token(name: bytes) -> None:
    with pytest.raises(ForbiddenEdit, match="whose name is not valid"):
        added_to_request(BEFORE, (*BEFORE, (name, b"1")), covered)


@pytest.mark.parametrize(("excess", "fits"), [(0, True), (1, False)])
def test_what_is_added_is_bounded(excess: int, fits: bool) -> None:
    half = MAX_ADDED // 2 - len(b"x-a: \r\n")
    after = (*BEFORE, (b"x-a", b"1" * half), (b"x-b", b"1" * (half + excess)))
    if fits:
        assert len(added_to_request(BEFORE, after, covered)) == 2
    else:
        with pytest.raises(ForbiddenEdit, match="more than 8192 bytes"):
            added_to_request(BEFORE, after, covered)


# Fields of a response


@pytest.mark.parametrize(
    ("after", "fields"),
    [
        (ANSWER, [("Server", "u"), ("Content-Length", "2"), ("x-gateway-request-id", "1")]),
        (ANSWER[1:], [("Content-Length", "2"), ("x-gateway-request-id", "1")]),
        (
            ((b"Server", b"v"), *ANSWER[1:], (b"X-A", b"1")),
            [("server", "v"), ("Content-Length", "2"), ("x-gateway-request-id", "1"), ("x-a", "1")],
        ),
    ],
    ids=["untouched", "removed", "replaced and added"],
)
def test_fields_of_an_answer_may_be_edited(after: Lines, fields: list[tuple[str, str]]) -> None:
    assert changed_in_response(ANSWER, after, covered) == fields


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ((ANSWER[0], ANSWER[2]), "changed the field content-length"),
        ((*ANSWER[:2], (b"x-gateway-request-id", b"2")), "changed the field x-gateway-request-id"),
        ((*ANSWER, (b"x-gateway-new", b"2")), "changed the field x-gateway-new"),
        ((*ANSWER, (b"Transfer-Encoding", b"chunked")), "changed the field transfer-encoding"),
        ((*ANSWER, (b"connection", b"close")), "changed the field connection"),
        ((*ANSWER, (b"x-a", b"1\r\n")), "a value that is not valid"),
        ((*ANSWER, (b"x-a", b"1" * MAX_ADDED)), "more than 8192 bytes"),
    ],
)
def test_what_frames_an_answer_and_what_is_the_gates_stays(after: Lines, words: str) -> None:
    with pytest.raises(ForbiddenEdit, match=words):
        changed_in_response(ANSWER, after, covered)


def test_a_field_of_the_upstreams_that_is_odd_does_no_harm_where_it_stays() -> None:
    odd: Lines = ((b"x_odd", b"1"), (b"x-big", b"1" * MAX_ADDED))
    assert [name for name, _ in changed_in_response(odd, odd, covered)] == ["x_odd", "x-big"]


def test_fields_that_differ_are_named_once_and_sorted() -> None:
    after = ((b"b", b"1"), (b"A", b"2"))
    assert names_of_changes(((b"a", b"1"), (b"B", b"1"), (b"c", b"1")), (*after, (b"c", b"1"))) == ["a", "b"]
    assert names_of_changes(after, after) == []
