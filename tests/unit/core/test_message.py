import pytest

from gateway.core.message import Headers
from gateway.core.reasons import Denied, Reason
from tests.world import World

HEADERS = Headers([("host", "a"), ("x-a", "1"), ("authorization", "Bearer s3cret"), ("x-a", "2")])


class TestHeaders:
    def test_lines_keep_their_order(self) -> None:
        assert HEADERS.fields[1::2] == (("x-a", "1"), ("x-a", "2"))

    @pytest.mark.parametrize(("name", "values"), [("x-a", ("1", "2")), ("host", ("a",)), ("x-b", ()), ("X-A", ())])
    def test_all_values_of_a_field_are_given_in_order(self, name: str, values: tuple[str, ...]) -> None:
        assert HEADERS.all(name) == values
        assert (name in HEADERS) == bool(values)

    @pytest.mark.parametrize(("name", "value"), [("host", "a"), ("x-b", None)])
    def test_a_single_value_is_given(self, name: str, value: str | None) -> None:
        assert HEADERS.single(name) == value

    def test_a_single_value_that_stands_twice_is_refused(self) -> None:
        with pytest.raises(Denied) as caught:
            HEADERS.single("x-a")
        assert caught.value.reason is Reason.FIELD_REPEATED
        assert caught.value.detail == "x-a stands 2 times"

    def test_values_are_not_shown(self) -> None:
        assert repr(HEADERS) == "Headers(host, x-a, authorization, x-a)"

    def test_no_fields_are_no_fields(self) -> None:
        assert Headers().fields == ()


def test_a_head_shows_neither_query_nor_values() -> None:
    shown = repr(World(target=b"/v1/deposits?card=4111").head())
    assert shown.startswith("RequestHead(POST /v1/deposits HTTP/1.1, Headers(host, ")
    assert "4111" not in shown
    assert "Bearer" not in shown
