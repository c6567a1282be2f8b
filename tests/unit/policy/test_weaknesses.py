from dataclasses import replace

from gateway.policy.weaknesses import warn_of
from tests.policy.reading import definition, problems, reader
from tests.vendors import scheme


def test_each_weakness_of_a_policys_own_scheme_is_told_with_the_way_to_mend_it() -> None:
    used = reader()
    warn_of(used, definition("{}"), scheme("spribe"))
    assert [problem.partition("it: ")[2] for problem in problems(used)] == [
        "the method is not signed, so a request can be turned into another (add method)",
        "there is no nonce, so a repeated request cannot be told from a replayed one (add one)",
        "nothing stands between target and body, so content can move between them (add a separator)",
    ]


def test_those_of_a_vendor_are_told_at_once() -> None:
    used = reader()
    warn_of(used, replace(definition("{}"), preset="spribe"), scheme("spribe"))
    (said,) = problems(used)
    assert said.endswith(
        "the method is not signed; there is no nonce; nothing stands between target and body "
        "(the vendor's to mend; docs/presets.md#spribe and docs/signatures.md say what helps)"
    )
