from pathlib import Path

import pytest

from gateway.policy.problem import PolicyInvalid
from gateway.policy.scheme_files import load_schemes

SCHEMES = """\
version: 1
schemes:
  bank: {preset: fapi2, nonce: required}
  terminal: {type: http-message-signatures, covered: ["@method"]}
"""


def test_schemes_need_nothing_else_of_a_policy(tmp_path: Path) -> None:
    file = tmp_path / "schemes.yaml"
    file.write_text(SCHEMES)
    assert [(name, scheme.name) for name, scheme in load_schemes(file, {}).items()] == [
        ("bank", "bank"), ("terminal", "terminal")
    ]  # fmt: skip
    (tmp_path / "other.yaml").write_text("version: 1\nroutes: broken\n")
    assert load_schemes(tmp_path, {}).keys() == {"bank", "terminal"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SCHEMES.replace("@method", "@methd"), "there is no component"),
        ("schemes: [", "schemes.yaml:1:"),
        (None, "does not exist"),
    ],
)
def test_what_is_wrong_with_them_is_told(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "schemes.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(PolicyInvalid) as caught:
        load_schemes(file, {})
    assert said in str(caught.value)
