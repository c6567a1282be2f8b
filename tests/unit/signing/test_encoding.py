import pytest

from gateway.core.message import Instant
from gateway.signing.encoding import (
    Encoding,
    TimestampFormat,
    decode,
    encode,
    encoded_length,
    read_timestamp,
    write_timestamp,
)


@pytest.mark.parametrize("text", ["00ff10", "00FF10", "00fF10"])
def test_hex_comes_in_either_case(text: str) -> None:
    assert decode(text, "hex") == b"\x00\xff\x10"


@pytest.mark.parametrize("text", ["0", "00 f", "0x00", "zz", "00ff1", "\uff41\uff41", "é0"])
def test_anything_else_is_no_hex(text: str) -> None:
    with pytest.raises(ValueError, match=r"[Oo]dd|[Nn]on-hex|ASCII"):
        decode(text, "hex")


@pytest.mark.parametrize(
    "text",
    [
        "/w",  # no padding
        "/w=",
        "/w===",
        "/x==",  # bits left over
        "_w==",  # base64url
        "/w==\n",
        " /w==",
        "/w==/w==",
        "/=w=",
        "é===",
    ],
)
def test_base64_has_one_spelling(text: str) -> None:
    assert decode("/w==", "base64") == b"\xff"
    with pytest.raises(ValueError, match=r".+"):
        decode(text, "base64")


@pytest.mark.parametrize("encoding", ["hex", "base64"])
@pytest.mark.parametrize("size", [0, 1, 2, 3, 32, 48, 64])
def test_what_is_encoded_reads_back_and_has_the_length_foretold(size: int, encoding: Encoding) -> None:
    raw = bytes(range(size))
    assert len(encode(raw, encoding)) == encoded_length(size, encoding)
    assert decode(encode(raw, encoding), encoding) == raw


@pytest.mark.parametrize(
    ("text", "form", "at"),
    [
        ("1795352400", "unix", 1_795_352_400.0),
        ("1795352400123", "unix-ms", 1_795_352_400.123),
        ("2026-11-22T13:00:00Z", "rfc3339", 1_795_352_400.0),
        ("2026-11-22T14:30:00+01:30", "rfc3339", 1_795_352_400.0),
        ("2026-11-22T13:00:00.25Z", "rfc3339", 1_795_352_400.25),
        ("2024-02-29T00:00:00Z", "rfc3339", 1_709_164_800.0),
    ],
)
def test_a_point_in_time_is_read(text: str, form: TimestampFormat, at: float) -> None:
    assert read_timestamp(text, form) == at


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("", "unix"),
        ("179535240", "unix"),
        ("17953524000", "unix"),
        ("1795352400123", "unix"),  # milliseconds where seconds are due
        ("0795352400", "unix"),
        ("+795352400", "unix"),
        ("1795352400.0", "unix"),
        ("1795352_00", "unix"),
        ("\uff11795352400", "unix"),
        ("²795352400", "unix"),
        ("1795352400", "unix-ms"),
        ("2026-11-22 13:00:00Z", "rfc3339"),
        ("2026-11-22t13:00:00z", "rfc3339"),
        ("2026-11-22T13:00:00", "rfc3339"),
        ("2026-11-22T13:00Z", "rfc3339"),
        ("2026-11-22T24:00:00Z", "rfc3339"),
        ("2026-11-22T13:00:60Z", "rfc3339"),
        ("2026-11-22T13:00:00.Z", "rfc3339"),
        ("2026-11-22T13:00:00+0100", "rfc3339"),
        ("2026-13-22T13:00:00Z", "rfc3339"),
        ("2026-W47-7T13:00:00Z", "rfc3339"),
        ("2026-11-22T13:00:00Z\n", "rfc3339"),
        ("1795352400", "rfc3339"),
    ],
)
def test_what_could_be_read_in_two_ways_is_no_point_in_time(text: str, form: TimestampFormat) -> None:
    with pytest.raises(ValueError, match=r"^expected "):
        read_timestamp(text, form)


@pytest.mark.parametrize("text", ["2026-02-29T13:00:00Z", "2026-04-31T13:00:00Z", "0000-01-01T00:00:00Z"])
def test_a_date_that_does_not_exist_is_no_point_in_time(text: str) -> None:
    with pytest.raises(ValueError, match="a date that exists"):
        read_timestamp(text, "rfc3339")


@pytest.mark.parametrize(
    ("form", "text"),
    [("unix", "1795352400"), ("unix-ms", "1795352400987"), ("rfc3339", "2026-11-22T13:00:00Z")],
)
def test_a_point_in_time_is_written_as_it_is_read(form: TimestampFormat, text: str) -> None:
    at = Instant(1_795_352_400.987)
    assert write_timestamp(at, form) == text
    assert 0 <= at - read_timestamp(text, form) < 1


def test_base64url_has_no_padding_and_one_spelling() -> None:
    assert (encode(b"\xff\xfe", "base64url"), encoded_length(2, "base64url")) == ("__4", 3)
    assert decode("__4", "base64url") == b"\xff\xfe"
    assert (encode(b"\xff", "hex-upper"), decode("fF", "hex-upper"), encoded_length(1, "hex-upper")) == (
        "FF",
        b"\xff",
        2,
    )
    for other in ("__4=", "__5", "//4"):
        with pytest.raises(ValueError, match="base64url"):
            decode(other, "base64url")
