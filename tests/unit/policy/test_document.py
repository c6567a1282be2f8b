from pathlib import Path

import pytest

from gateway.policy.document import Document, assemble
from gateway.policy.folder import Source
from gateway.policy.reader import Reader
from gateway.policy.source import parse
from tests.policy.reading import problems, reader

COMPLETE = "version: 1\nname: psp\nowner: security\nreview_by: 2027-05-01\nlistener: {}\nroutes: [a]\n"


def assembled(*texts: str) -> tuple[Document, Reader]:
    used = reader()
    sources = [
        Source(Path(f"{n}.yaml"), b"", parse(Path(f"{n}.yaml"), text.encode())[0]) for n, text in enumerate(texts)
    ]
    return assemble(sources, used), used


def test_sections_of_all_files_are_put_together() -> None:
    document, used = assembled(
        COMPLETE, "version: 1\nupstreams: {psp: a}\nroutes: [b]", "version: 1\nupstreams: {pam: b}\nroutes: [c, d]"
    )
    assert used.problems == []
    assert list(document.named["upstreams"]) == ["psp", "pam"]
    assert [str(route.place) for route in document.routes] == [
        "0.yaml:6:10",
        "1.yaml:3:10",
        "2.yaml:3:10",
        "2.yaml:3:13",
    ]


def test_the_section_listener_is_the_listener_main() -> None:
    document, _ = assembled(COMPLETE)
    assert list(document.named["listeners"]) == ["main"]


def test_listeners_alone_will_do() -> None:
    document, used = assembled(COMPLETE.replace("listener: {}", "listeners: {inner: {}, outer: {}}"))
    assert used.problems == []
    assert list(document.named["listeners"]) == ["inner", "outer"]


def test_a_second_definition_names_the_first_and_does_not_count() -> None:
    document, used = assembled(COMPLETE, "version: 1\nname: pam\nlisteners: {main: {}}")
    assert problems(used) == [
        "1.yaml:2:1: name: `name` is defined twice (first at 0.yaml:2:1)",
        "0.yaml:5:1: listener: `main` is defined twice (first at 1.yaml:3:13)",
    ]
    name = document.single("name")
    assert name is not None
    assert name.place.file == Path("0.yaml")


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("version: 2", "0.yaml:1:10: version: version `2` is not known (expected 1)"),
        ("version: '1'", "0.yaml:1:10: version: found text in quotes (expected the number 1)"),
        ("version: [1]", "0.yaml:1:10: version: found a list (expected the number 1)"),
        ("version:", "0.yaml:1:9: version: nothing is written here (expected the number 1)"),
        ("state: {}", "0.yaml:1:1: `version` is missing (expected `version: 1` in every file)"),
    ],
)
def test_every_file_says_its_version(version: str, said: str) -> None:
    assert problems(assembled(COMPLETE.replace("version: 1", version))[1]) == [said]


@pytest.mark.parametrize("section", ["name", "owner", "review_by", "listener", "routes"])
def test_what_a_policy_cannot_do_without(section: str) -> None:
    lines = [line for line in COMPLETE.splitlines() if not line.startswith(section)]
    (said,) = problems(assembled("\n".join(lines))[1])
    assert said.startswith(f"0.yaml:1:1: `{section}` ")


def test_nothing_is_called_missing_while_a_file_cannot_be_read() -> None:
    document, used = assembled("version: 1", "a: [")
    assert not document.complete
    assert used.problems == []


def test_a_file_that_is_no_mapping_is_told_and_counts_as_unread() -> None:
    document, used = assembled("version: 1", "[a]")
    assert not document.complete
    assert problems(used) == ["1.yaml:1:1: found a list (expected a mapping with the sections of a policy)"]
