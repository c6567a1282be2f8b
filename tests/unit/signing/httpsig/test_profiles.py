from gateway.signing.httpsig.profiles import PROFILES
from tests import messages


def test_fapi_2() -> None:
    profile = PROFILES["fapi2"]
    assert profile.covered == messages.components("@method", "@target-uri", "authorization")
    assert (profile.covered_if_present, profile.tag) == (("dpop",), "fapi-2-request")
    assert profile.answers_tag == "fapi-2-response"
    assert profile.answers_if_present[-2:] == messages.components('"authorization";req', '"dpop";req')
    assert set(profile.algorithms) == {"ed25519", "ecdsa-p256-sha256", "rsa-pss-sha512"}
