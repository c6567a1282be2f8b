import pytest

from gateway.core.reasons import Denied, Reason
from gateway.core.trailers import MAX_BYTES, MAX_FIELDS, Trailers, take_trailers


def test_trailers_are_read_as_fields_are() -> None:
    behind = Trailers()
    assert behind.headers is None
    take_trailers(behind, [(b"X-Sum", b" 1 "), (b"x-sum", b"2")])
    assert behind.headers is not None
    assert behind.headers.all("x-sum") == ("1", "2")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([(b"x a", b"1")], Reason.FIELD_INVALID),
        ([(b" x-a", b"1")], Reason.FIELD_INVALID),
        ([(b"x-a", b"a\x00")], Reason.FIELD_INVALID),
        ([(b"Content-Length", b"3")], Reason.FIELD_INVALID),
        ([(b"authorization", b"Bearer x")], Reason.FIELD_INVALID),
        ([(b"signature", b"sig1=:AA==:")], Reason.FIELD_INVALID),
        ([(b"x-a", b"1")] * (MAX_FIELDS + 1), Reason.MESSAGE_MALFORMED),
        ([(b"x-a", b"1" * MAX_BYTES)], Reason.MESSAGE_MALFORMED),
    ],
)
def test_what_no_trailer_is(fields: list[tuple[bytes, bytes]], reason: Reason) -> None:
    with pytest.raises(Denied) as caught:
        Trailers().take(fields)
    assert caught.value.reason is reason


def test_trailers_that_nobody_waits_for() -> None:
    with pytest.raises(Denied, match="no signature covers"):
        take_trailers(None, [])
