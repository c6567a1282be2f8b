import pytest

from gateway.controls.credentials import MAX_TOKEN_BYTES, Authentication, Challenger, presented_token
from gateway.core.message import Headers
from gateway.core.reasons import Denied, Reason

FULL = Challenger(frozenset({"b", "a"}), Authentication(("urn:sca", "hwk"), 300.0))


def test_the_token_behind_the_scheme_is_given() -> None:
    assert presented_token(Headers([("authorization", "bearer  a.b.c")])) == ("a.b.c", False)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("Basic YWNtZTphY21l", Reason.TOKEN_MISSING),
        ("Bearer", Reason.TOKEN_MALFORMED),
        ("Bearer a b", Reason.TOKEN_MALFORMED),
        ("Bearer " + "a" * MAX_TOKEN_BYTES, Reason.TOKEN_MALFORMED),
    ],
)
def test_what_is_no_token(value: str, reason: Reason) -> None:
    with pytest.raises(Denied) as caught:
        presented_token(Headers([("authorization", value)]))
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (Reason.TOKEN_MISSING, 'Bearer realm="gateway"'),
        (Reason.TOKEN_SIGNATURE, 'Bearer realm="gateway", error="invalid_token"'),
        (Reason.TOKEN_EXPIRED, 'Bearer realm="gateway", error="invalid_token"'),
        (Reason.TOKEN_BINDING, 'Bearer realm="gateway", error="invalid_token"'),
        (Reason.TOKEN_SCOPE, 'Bearer realm="gateway", error="insufficient_scope", scope="a b"'),
        (
            Reason.TOKEN_AUTHENTICATION,
            'Bearer realm="gateway", error="insufficient_user_authentication", acr_values="urn:sca hwk", max_age="300"',
        ),
    ],
)
def test_a_challenge_says_what_the_standards_ask_for(reason: Reason, said: str) -> None:
    assert FULL.fields(reason) == (("www-authenticate", said),)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [(Authentication(("urn:sca",)), 'acr_values="urn:sca"'), (Authentication((), 60.0), 'max_age="60"')],
)
def test_a_challenge_asks_for_what_is_wanted(wanted: Authentication, said: str) -> None:
    ((_, challenge),) = Challenger(authentication=wanted).fields(Reason.TOKEN_AUTHENTICATION)
    assert challenge == f'Bearer realm="gateway", error="insufficient_user_authentication", {said}'


@pytest.mark.parametrize("reason", [Reason.TOKEN_SUBJECT, Reason.TOKEN_RESOURCE, Reason.TOKEN_KEYS_UNAVAILABLE])
def test_what_no_other_token_would_mend_has_no_challenge(reason: Reason) -> None:
    assert FULL.fields(reason) == ()
