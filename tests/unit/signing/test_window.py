import pytest

from gateway.core.message import Instant
from gateway.core.reasons import Denied, Reason
from gateway.signing.window import Window

NOW = Instant(1_000_000.0)
ZONE = "as if local time were taken for UTC"
WINDOW = Window(60.0, 5.0)


@pytest.mark.parametrize("age", [60.0, 0.0, -5.0])
def test_both_ends_belong_to_the_window(age: float) -> None:
    WINDOW.check(created := Instant(NOW - age), NOW)
    assert WINDOW.end(created) >= NOW


@pytest.mark.parametrize(
    ("age", "reason", "detail"),
    [
        (60.5, Reason.SIGNATURE_STALE, "dated 60 s ago, the window is 60 s"),
        (340.0, Reason.SIGNATURE_STALE, "dated 340 s ago, the window is 60 s"),
        (-5.5, Reason.SIGNATURE_FUTURE, "dated 6 s ahead, the window is 5 s: its clock is ahead"),
        (-3600.0, Reason.SIGNATURE_FUTURE, f"dated 3600 s ahead, the window is 5 s: 1 h, {ZONE}"),
        (7_220.0, Reason.SIGNATURE_STALE, f"dated 7220 s ago, the window is 60 s: 2 h, {ZONE}"),
        (7_300.0, Reason.SIGNATURE_STALE, "dated 7300 s ago, the window is 60 s"),
        (54_000.0, Reason.SIGNATURE_STALE, "dated 54000 s ago, the window is 60 s"),
    ],
)
def test_a_date_outside_is_refused_with_its_distance(age: float, reason: Reason, detail: str) -> None:
    with pytest.raises(Denied) as caught:
        WINDOW.check(Instant(NOW - age), NOW)
    assert (caught.value.reason, caught.value.detail) == (reason, detail)
    assert caught.value.fields == (("www-authenticate", 'Signature realm="gateway"'),)


@pytest.mark.parametrize(
    ("max_age", "max_ahead"), [(0, 5), (-1, 5), (60, -1), (float("inf"), 5), (60, float("inf")), (float("nan"), 5)]
)
def test_a_window_must_be_bounded_on_both_sides(max_age: float, max_ahead: float) -> None:
    with pytest.raises(ValueError, match="max_age above 0 s"):
        Window(max_age, max_ahead)
