from gateway.policy.tables import Table
from tests.policy.reading import mapping, node, problems, reader, scalar


def table(*names: str, complete: bool = True) -> Table[int]:
    found: Table[int] = Table("upstream", complete=complete)
    for value, name in enumerate(names):
        found.add(name, scalar(name), value)
    return found


def test_a_name_is_found() -> None:
    used = reader()
    assert table("psp", "pam").find(used, node("pam")) == 1
    assert used.problems == []


def test_an_unknown_name_is_told_with_its_near_miss() -> None:
    used = reader()
    assert table("psp", "casino").find(used, node("casnio")) is None
    assert problems(used) == ["p.yaml:1:1: no upstream `casnio` (did you mean `casino`?)"]


def test_without_a_near_miss_some_names_are_listed() -> None:
    used = reader()
    table(*"abcdefghi").find(used, node("unlike"))
    assert problems(used) == [
        "p.yaml:1:1: no upstream `unlike` (expected one of `a`, `b`, `c`, `d`, `e`, `f`, `g`, `h`, …)"
    ]


def test_without_any_name_that_is_said() -> None:
    used = reader()
    table().find(used, node("psp"))
    assert problems(used) == ["p.yaml:1:1: no upstream `psp` (none is defined)"]


def test_a_faulty_definition_is_not_complained_of_again() -> None:
    used, upstreams = reader(), table()
    upstreams.add("psp", scalar("psp"), None)
    assert upstreams.find(used, node("psp")) is None
    upstreams.report_unused(used)
    assert used.problems == []


def test_where_a_file_could_not_be_read_a_missing_name_may_stand_there() -> None:
    used, upstreams = reader(), table("psp", complete=False)
    assert upstreams.find(used, node("pam")) is None
    upstreams.report_unused(used)
    assert used.problems == []


def test_what_is_not_used_is_warned_of() -> None:
    used, upstreams = reader(), table("psp", "pam", "casino", "bank")
    upstreams.find(used, node("psp"))
    upstreams.find(used, node("casnio"))  # was meant, so it is in use
    upstreams.use(["bank"])
    upstreams.report_unused(used)
    assert problems(used)[1:] == ["p.yaml:1:1: warning: upstream `pam` is not used (remove it, or name it on a route)"]


def test_what_is_no_name() -> None:
    used = reader()
    assert table("psp").find(used, mapping("{a: b}")) is None
    assert problems(used) == ["p.yaml:1:1: found a mapping (expected the name of an upstream)"]
