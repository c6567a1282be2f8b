import json
from dataclasses import replace

import pytest

from gateway.kit.folder import files
from gateway.signing import parts as p
from tests import world
from tests.policy.reading import definition
from tests.unit.kit.kits import facts, message_facts

SCHEME = "{type: http-message-signatures, covered: ['@method'], nonce: required}"


def test_everything_that_a_kit_has() -> None:
    made = files(message_facts(), {"rfc9421": definition(SCHEME).node})
    assert sorted(made) == [
        "README.md", "certificate-request.sh", "sample/request.http", "sample/sign.mjs", "sample/sign.py",
        "sample/sign.sh", "sample/string-to-sign.txt", "schemes.yaml", "signing-key.sh", "signing.md",
    ]  # fmt: skip
    assert json.loads(made["schemes.yaml"]) == {
        "version": 1,
        "schemes": {"rfc9421": {"type": "http-message-signatures", "covered": ["@method"], "nonce": "required"}},
    }
    assert "signing-key.sh" not in files(facts(), {})


def test_no_secret_is_in_it() -> None:
    text = "".join(files(facts(), {}).values())
    assert world.SIGNING_SECRET.decode() not in text


def test_an_example_that_cannot_be_signed_is_told() -> None:
    scheme = world.scheme(parts=(p.SortedJson(), p.Timestamp()), nonce=None)
    with pytest.raises(ValueError, match="refuse the request"):
        files(facts(scheme, body_limit=4), {})
    with pytest.raises(ValueError, match="no digest but by"):
        message_facts('"content-digest";key="md5"')


def test_a_partner_that_signs_nothing() -> None:
    assert sorted(files(replace(facts(), signing=None), {})) == ["README.md", "certificate-request.sh"]
