import pytest

from gateway.policy.components import component, signature_label, signature_tag
from gateway.policy.values import Unfit
from gateway.signing.httpsig.component import Component


def test_components_as_a_policy_writes_them() -> None:
    assert component("Content-Type") == Component.parse("content-type")
    assert component('"@query-param";name="id"').parameter == "id"


@pytest.mark.parametrize(
    ("text", "hint"),
    [("@methd", "did you mean `@method`?"), ("@zzzzzz", "expected one of `@method`"), ("x-a;zz", "expected one such")],
)
def test_what_is_no_component(text: str, hint: str) -> None:
    with pytest.raises(Unfit) as caught:
        component(text)
    assert hint in caught.value.hint


def test_labels_and_tags() -> None:
    assert (signature_label("sig1"), signature_tag("app-1")) == ("sig1", "app-1")
    for read, text in ((signature_label, "Sig"), (signature_tag, "caf\xe9"), (signature_tag, "x" * 257)):
        with pytest.raises(Unfit):
            read(text)
