import pytest

from gateway.signing.jose import decode_base64url, encode_base64url, read_object


@pytest.mark.parametrize("raw", [b"", b"f", b"fo", b"foo", b"\xff\xfe\xfd", bytes(range(256))])
def test_what_was_encoded_comes_out_again(raw: bytes) -> None:
    assert decode_base64url(encode_base64url(raw)) == raw


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Zg==", id="padding"),
        pytest.param("Zh", id="stray bits"),
        pytest.param("Z", id="impossible length"),
        pytest.param("Zm9v\n", id="line end"),
        pytest.param("Zm 9v", id="space"),
        pytest.param("+/+/", id="plain base64 alphabet"),
        pytest.param("Zm9vé", id="not ASCII"),
    ],
)
def test_another_spelling_of_base64url_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not canonical base64url$"):
        decode_base64url(text)


def test_an_object_is_read() -> None:
    assert read_object(' {"a": [1, 2.5, "ü", null, true]} '.encode()) == {"a": [1, 2.5, "ü", None, True]}


def test_a_paired_surrogate_is_one_character() -> None:
    assert read_object(b'{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        pytest.param(b'{"a": 1, "a": 2}', "stands twice", id="duplicate member"),
        pytest.param(b'{"a": 1, "\\u0061": 2}', "stands twice", id="duplicate member in disguise"),
        pytest.param(b'{"x": [{"a": 1, "a": 1}]}', "stands twice", id="duplicate member inside"),
        pytest.param(b'\xef\xbb\xbf{"a": 1}', "not JSON", id="byte order mark"),
        pytest.param('{"a": 1}'.encode("utf-16"), "not UTF-8", id="UTF-16"),
        pytest.param(b'{"a": "\xff"}', "not UTF-8", id="latin-1"),
        pytest.param(b'{"a": NaN}', "NaN is not JSON", id="NaN"),
        pytest.param(b'{"a": -Infinity}', "-Infinity is not JSON", id="infinity"),
        pytest.param(b'{"a": 1e999}', "beyond the range", id="overflow"),
        pytest.param(b'{"a": ' + b"9" * 5000 + b"}", "digits", id="endless integer"),
        pytest.param(b'{"a": "\\ud800"}', "surrogate", id="half a surrogate pair"),
        pytest.param(b'{"\\udc00": 1}', "surrogate", id="half a surrogate pair as a name"),
        pytest.param(b'{"a": "\n"}', "not JSON", id="raw control character"),
        pytest.param(b'{"a": 1} x', "not JSON", id="trailing text"),
        pytest.param(b"[1]", "not a JSON object", id="list"),
        pytest.param(b"", "not JSON", id="empty"),
        pytest.param(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply", id="deep nesting"),
    ],
)
def test_an_object_with_two_readings_is_refused(raw: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_object(raw)


def test_the_message_shows_no_value() -> None:
    with pytest.raises(ValueError, match="not JSON") as caught:
        read_object(b'{"d": "c2VjcmV0", oops}')
    assert "c2VjcmV0" not in str(caught.value)
