from gateway.policy.answer_rules import read_answer_rules
from gateway.signing.httpsig.answers import ALWAYS, IF_PRESENT, AnswerRules
from gateway.signing.httpsig.profiles import PROFILES
from tests.messages import components
from tests.policy.reading import node, problems, reader


def read(text: str | None, preset: str | None = None) -> AnswerRules | None:
    used = reader()
    profile = PROFILES[preset] if preset is not None else None
    found = read_answer_rules(used, None if text is None else node(text), profile, {"x-dict": "dictionary"})
    assert used.errors == 0, problems(used)
    return found


def test_without_a_word_answers_are_bound_to_their_request() -> None:
    found = read(None)
    assert found is not None
    assert (found.covered, found.covered_if_present) == (ALWAYS, IF_PRESENT)
    assert (found.label, found.tag, found.expires_after) == ("gateway", None, None)


def test_every_setting() -> None:
    found = read("{covered: [x-dict;sf], covered_if_present: [date], label: a, tag: t, expires_after: 2m}")
    assert found is not None
    assert [each.identifier for each in found.covered] == ['"@status"', '"content-digest"', '"x-dict";sf']
    assert (found.covered_if_present, found.label, found.tag) == (components("date"), "a", "t")
    assert found.expires_after == 120.0


def test_a_preset_has_its_tag_and_its_coverage() -> None:
    for text in (None, "{label: a}"):
        found = read(text, "fapi2")
        assert found is not None
        assert found.tag == "fapi-2-response"
        assert set(components('"authorization";req', '"dpop";req')) <= set(found.covered_if_present)


def test_what_cannot_be_covered() -> None:
    used = reader()
    assert read_answer_rules(used, node("{covered: [x-two;sf]}"), None, {}) is None
    assert read_answer_rules(used, node("[]"), None, {}) is None
    assert used.errors == 2
