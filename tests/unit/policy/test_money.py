import pytest

from gateway.controls.idempotency import ALWAYS_KEPT, BodyKey, FieldKey, Idempotency, SignedKey
from gateway.controls.velocity import Amount, Currency, Velocity, VelocityLimit
from gateway.core.document import Pointer
from gateway.policy.money import FINAL, NOT_DONE, RETURNED, read_idempotency, read_velocity
from tests.policy.reading import node, reader


def idempotency(text: str) -> Idempotency:
    used = reader()
    found = read_idempotency(used, node(f"{{{text}}}"))
    assert used.problems == []
    assert found is not None
    return found


def velocity(text: str) -> Velocity:
    used = reader()
    found = read_velocity(used, node(f"{{{text}}}"))
    assert used.problems == []
    assert found is not None
    return found


def test_what_a_route_need_not_say_of_idempotency() -> None:
    found = idempotency("key: {header: Idempotency-Key}, remember: 24h")
    assert found == Idempotency(FieldKey("idempotency-key"), 86_400.0, FINAL, NOT_DONE, 65_536)
    assert {200, 302, 404, 409, 422} <= FINAL
    assert FINAL.isdisjoint({408, 425, 429, 500, 503})


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("{header: X-Request-Id}", FieldKey("x-request-id")),
        ("{pointer: /transaction/id}", BodyKey(Pointer("/transaction/id"))),
        ("signature", SignedKey()),
    ],
)
def test_keys(written: str, key: object) -> None:
    assert idempotency(f"key: {written}, remember: 24h").key == key


def test_what_else_a_route_may_say_of_idempotency() -> None:
    found = idempotency(
        "key: signature, remember: 10m, answer: {limit: 1KiB, fields: [Location]}, same: [/amount, /player],"
        'unknown: {forward: "the wallet deduplicates"}'
    )
    assert (found.remember, found.limit, found.again) == (600.0, 1_024, True)
    assert found.fields == ALWAYS_KEPT | {"location"}
    assert found.same == (Pointer("/amount"), Pointer("/player"))
    assert not idempotency("key: signature, remember: 10m, unknown: refuse").again


@pytest.mark.parametrize(
    ("written", "final", "not_done"),
    [
        ("final: [2xx]", set(range(200, 300)), set(NOT_DONE)),
        ("final: [2xx, 503]", {*range(200, 300), 503}, set(NOT_DONE)),
        ("final: [2xx, 429]", {*range(200, 300), 429}, {408, 425}),
        ("final: [2xx, 4xx], not_done: [409]", {*range(200, 300), *range(400, 500)} - {409}, {409}),
        ("final: [200, 409], not_done: [4xx]", {200, 409}, set(range(400, 500)) - {409}),
        ("not_done: [4xx, 503]", set(range(200, 400)), {*range(400, 500), 503}),
    ],
)
def test_a_status_by_itself_goes_before_its_class(written: str, final: set[int], not_done: set[int]) -> None:
    found = idempotency(f"key: signature, remember: 1h, {written}")
    assert (set(found.final), set(found.not_done)) == (final, not_done)


def test_what_a_route_says_of_velocity() -> None:
    found = velocity(
        "amount: {pointer: /amount, currency: {pointer: /currency}, unit: minor},"
        "limits: [{name: day, per: /player, sum: [5000.00 EUR, 50000 SEK], window: 24h},"
        "{name: hour, per: [partner, /player], count: 3, window: 1h}, {name: all, per: partner, count: 9, window: 1m}]"
    )
    player = Pointer("/player")
    assert found == Velocity(
        (
            VelocityLimit("day", 86_400, (player,), {"EUR": 500_000, "SEK": 5_000_000}),
            VelocityLimit("hour", 3_600, ("partner", player), None, 3),
            VelocityLimit("all", 60, ("partner",), None, 9),
        ),
        RETURNED,
        Amount(Pointer("/amount"), Currency(pointer=Pointer("/currency")), minor=True, quoted=False),
        {"EUR": 2, "SEK": 2},
    )


def test_amounts_in_decimals_and_currencies_of_ones_own() -> None:
    found = velocity(
        "amount: {pointer: /amount, currency: USDT, unit: major, type: string}, digits: {USDT: 6}, on_reach: mark,"
        "returned: [402, 409], limits: [{name: day, per: partner, sum: 1.5 USDT, window: 24h}]"
    )
    assert found.amount == Amount(Pointer("/amount"), Currency("USDT"), minor=False, quoted=True)
    assert (found.digits, found.marks, found.returned) == ({"USDT": 6}, True, frozenset({402, 409}))
    assert found.limits[0].sums == {"USDT": 1_500_000}


def test_counts_need_no_amount() -> None:
    found = velocity("limits: [{name: hour, per: token.sub, count: 3, window: 1h}]")
    assert (found.amount, found.digits) == (None, None)


def test_a_currency_with_other_decimals_than_the_standards_is_told() -> None:
    used = reader()
    amount = "amount: {pointer: /a, currency: JPY, unit: minor}"
    text = f"{{{amount}, digits: {{JPY: 2}}, limits: [{{name: d, per: partner, sum: 1.5 JPY, window: 1h}}]}}"
    assert read_velocity(used, node(text)) is not None
    assert [problem.message for problem in used.problems] == ["JPY has 0 decimals in ISO 4217"]
