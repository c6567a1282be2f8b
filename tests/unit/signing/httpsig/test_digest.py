import pytest

from gateway.core.message import Headers
from gateway.signing.httpsig.digest import MAX_MEMBERS, MismatchError, check_digest, check_digests, write_digest

BODY = b'{"amount": "10.00"}'


def check(*fields: tuple[str, str], body: bytes = BODY) -> None:
    check_digests(Headers(fields), body)


@pytest.mark.parametrize("name", ["content-digest", "repr-digest"])
def test_digests_of_the_body(name: str) -> None:
    check((name, write_digest(BODY)))
    check((name, write_digest(BODY, "sha-512")))
    check((name, f"{write_digest(BODY)}, {write_digest(BODY, 'sha-512')}"))
    check((name, write_digest(BODY)), (name, write_digest(BODY, "sha-512")))
    check((name, write_digest(b"")), body=b"")


def test_none_need_be_there() -> None:
    check()


@pytest.mark.parametrize("name", ["content-digest", "repr-digest"])
def test_every_digest_that_counts_must_be_the_bodys(name: str) -> None:
    for digest in (
        write_digest(b"other"),
        f"{write_digest(BODY)}, {write_digest(b'other', 'sha-512')}",
        f"{write_digest(b'other')}, {write_digest(BODY, 'sha-512')}",
        "sha-256=:AAAA:",
        "sha-256=::",
    ):
        with pytest.raises(MismatchError, match=f"{name} by sha"):
            check((name, digest))


@pytest.mark.parametrize(
    ("digest", "said"),
    [
        ("", "no digest by sha-256 or sha-512"),
        ("md5=:AAAA:", "no digest by sha-256 or sha-512"),
        ("sha-256", "no dictionary of byte sequences"),
        ("sha-256=abc", "no dictionary of byte sequences"),
        ('sha-256=(":")', "no dictionary of byte sequences"),
        (f"{write_digest(BODY)};a", "no dictionary of byte sequences"),
        (f"{write_digest(BODY)}, {write_digest(BODY)}", "stands twice"),
        ("sha-256=:*:", "no dictionary of RFC 9651"),
        (", ".join(f"a{number}=:AA==:" for number in range(MAX_MEMBERS + 1)), "9 digests; at most 8"),
    ],
)
def test_what_is_no_digest(digest: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        check_digest("content-digest", digest, BODY)
    assert not isinstance(caught.value, MismatchError)


def test_other_algorithms_do_not_count() -> None:
    check(("content-digest", f"md5=:AAAA:, {write_digest(BODY)}"))


def test_the_digest_of_a_whole_cannot_be_checked_against_a_part() -> None:
    with pytest.raises(ValueError, match="repr-digest of a part"):
        check(("repr-digest", write_digest(BODY)), ("content-range", "bytes 0-1/9"))
    check(("content-digest", write_digest(BODY)), ("content-range", "bytes 0-1/9"))
