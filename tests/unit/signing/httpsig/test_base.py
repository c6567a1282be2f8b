import pytest

from gateway.core.message import Headers
from gateway.signing.httpsig.base import MAX_COMPONENTS, Covered
from gateway.signing.httpsig.component import Component
from gateway.signing.httpsig.inputs import components_of
from gateway.signing.httpsig.message import Request
from gateway.signing.httpsig.values import AbsentError
from tests import messages

REQUEST = Request.of(messages.head(("x-one", "1"), ("x-one", "2"), target="/v1/a?b"))


def covered(text: str) -> Covered:
    return Covered.of(components_of(text), {})


def test_the_base_of_a_request() -> None:
    found = covered('("@method"  "x-one" "@query")').base(REQUEST, ';created=1;keyid="k"')
    assert found == (
        b'"@method": POST\n"x-one": 1, 2\n"@query": ?b\n'
        b'"@signature-params": ("@method" "x-one" "@query");created=1;keyid="k"'
    )


def test_nothing_covered() -> None:
    assert covered("()").base(REQUEST, ";created=1") == b'"@signature-params": ();created=1'


def test_a_component_is_covered_once() -> None:
    with pytest.raises(ValueError, match="covered twice"):
        covered('("@method" "@method")')
    with pytest.raises(ValueError, match="covered twice"):
        covered('("x-one";bs;req "x-one";req;bs)')
    assert len(covered('("x-one" "x-one";bs)').components) == 2


def test_components_are_bounded() -> None:
    names = [f'"x-{number}"' for number in range(MAX_COMPONENTS + 1)]
    assert len(covered(f"({' '.join(names[1:])})").components) == MAX_COMPONENTS
    with pytest.raises(ValueError, match="49 covered components; at most 48"):
        covered(f"({' '.join(names)})")
    with pytest.raises(ValueError, match="49 covered components; at most 48"):
        Covered(tuple(Component(f"x-{number}") for number in range(MAX_COMPONENTS + 1)))


@pytest.mark.parametrize(("value", "said"), [("caf\xe9", "not ASCII"), ("a\nb", "line feed")])
def test_values_that_a_base_cannot_hold(value: str, said: str) -> None:
    message = REQUEST._replace(headers=Headers([("x-one", value)]))
    with pytest.raises(ValueError, match=said):
        covered('("x-one")').base(message, "")
    assert covered('("x-one";bs)').base(message, "")


def test_a_component_that_is_not_there() -> None:
    with pytest.raises(AbsentError, match='covers "x-two"'):
        covered('("x-two")').base(REQUEST, "")
