from pathlib import Path

import pytest

from gateway.policy.environment import named_path, shown_path, variable
from gateway.policy.reader import Reader
from tests.policy.reading import definition, problems

CERTS = {"CERTS": "/etc/gateway", "SITE": "malta", "EMPTY": "", "DOLLARS": "${SITE}"}


def reader() -> Reader:
    return Reader(CERTS, None)


def named(used: Reader, text: str) -> Path | None:
    return named_path(used, definition("x", Path("policies/p.yaml")).node, text)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("${CERTS}/gateway.pem", "/etc/gateway/gateway.pem"),
        ("${CERTS}/${SITE}/${SITE}.pem", "/etc/gateway/malta/malta.pem"),
        ("../${SITE}.pem", "policies/../malta.pem"),
        ("$CERTS/a$.pem", "policies/$CERTS/a$.pem"),
        ("${DOLLARS}.pem", "policies/${SITE}.pem"),
    ],
)
def test_variables_in_paths(text: str, path: str) -> None:
    used = reader()
    assert named(used, text) == Path(path)
    assert used.files == {Path(path)}
    assert used.problems == []


def test_a_variable_that_is_not_set_is_complained_of_once() -> None:
    used = reader()
    assert named(used, "${LAB}/${LAB}.pem") is None
    assert problems(used) == [
        "policies/p.yaml:1:5: it: the environment variable LAB is not set (set it where the gate is started)"
    ]
    assert used.files == set()


@pytest.mark.parametrize("text", ["${CERTS/gateway.pem", "${}", "${1}", "${SITE}${", "${a b}", "${${SITE}}"])
def test_a_brace_without_the_name_of_a_variable(text: str) -> None:
    used = reader()
    assert named(used, text) is None
    (said,) = problems(used)
    assert "has a `${` without the name of a variable (expected one such as ${CERTS})" in said


def test_a_variable() -> None:
    assert variable(reader(), definition("x").node, "SITE") == "malta"


def test_an_empty_variable_is_none() -> None:
    used = reader()
    assert variable(used, definition("x").node, "EMPTY") is None
    assert problems(used) == [
        "p.yaml:1:5: it: the environment variable EMPTY is empty (set it where the gate is started)"
    ]


def test_messages_name_the_variable_and_not_its_value() -> None:
    node = definition("file:${SITE}/k").node
    assert shown_path(node, Path("malta/k")) == "`file:${SITE}/k`"
    assert shown_path(definition("file:k").node, Path("policies/k")) == "policies/k"
