import pytest

from gateway.signing.httpsig.component import DERIVED, MAX_NAME, Component


@pytest.mark.parametrize(
    ("written", "identifier"),
    [
        ("@method", '"@method"'),
        ('"@method"', '"@method"'),
        ("Content-Type", '"content-type"'),
        ('"@query-param";name="Pet"', '"@query-param";name="Pet"'),
        ('@query-param;name="Pet";req', '"@query-param";name="Pet";req'),
        ('cache-control;key="max-age"', '"cache-control";key="max-age"'),
        ('x-one;sf;key="a"', '"x-one";sf;key="a"'),
        ("x-one;bs;tr;req", '"x-one";bs;tr;req'),
        ("@status", '"@status"'),
    ],
)
def test_components_as_a_policy_writes_them(written: str, identifier: str) -> None:
    assert Component.parse(written).identifier == identifier


@pytest.mark.parametrize("name", [name for name in DERIVED if name != "@query-param"])
def test_derived_components(name: str) -> None:
    assert Component.parse(name) == Component(name)


def test_the_order_of_parameters_makes_no_other_component() -> None:
    one, other = Component.parse("x-one;bs;req"), Component.parse("x-one;req;bs")
    assert one == other
    assert len({one, other}) == 1
    assert one.identifier != other.identifier


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("@signature-params", "no derived component"),
        ("@nothing", "no derived component"),
        ("@method;sf", "takes no such parameter"),
        ("@status;req", "takes no such parameter"),
        ("@query-param", "needs the parameter `name`"),
        ('@query-param;name="a";tr', "needs the parameter"),
        ('@query-param;name=""', "value of the wrong kind"),
        (f'@query-param;name="{"a" * (MAX_NAME + 1)}"', "value of the wrong kind"),
        ("x-one;key=a", "value of the wrong kind"),
        ("x-one;sf=?0", "value of the wrong kind"),
        ('x-one;bs="yes"', "value of the wrong kind"),
        ("x-one;other", "unknown parameter 'other'"),
        ("x-one;bs;sf", "do not go together"),
        ('x-one;bs;key="a"', "do not go together"),
        ('x-one;name="a"', "do not go together"),
        ("x one", "no field name"),
        ("x-" + "a" * MAX_NAME, "no field name"),
        ("", "no field name"),
        ("x-one;sf;sf", "stands twice"),
    ],
)
def test_what_is_no_component(written: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Component.parse(written)


def test_names_of_the_wire_are_strings_in_lower_case() -> None:
    with pytest.raises(ValueError, match="no string"):
        Component.of((b"x-one", {}))
    with pytest.raises(ValueError, match="no field name in lower case"):
        Component.of(("X-One", {}))


@pytest.mark.parametrize(
    ("written", "whole"),
    [("x-one", True), ("x-one;sf", True), ("x-one;bs", True), ('x-one;key="a"', False), ("x-one;tr", False),
     ("x-one;req", False), ("@method", False)],
)  # fmt: skip
def test_whole_fields(written: str, whole: bool) -> None:
    assert Component.parse(written).whole_field is whole
