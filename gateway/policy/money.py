"""What a route says of `idempotency` and `velocity`, and the state they use."""

from collections.abc import Mapping

from gateway.controls.idempotency import ALWAYS_KEPT, BodyKey, FieldKey, Idempotency, Key, SignedKey
from gateway.controls.velocity import Amount, Currency, Subject, Velocity, VelocityLimit
from gateway.core.forwarding import HOP_BY_HOP
from gateway.core.holds import Statuses
from gateway.policy.currencies import ISO_DIGITS, MAX_DIGITS, amount, code
from gateway.policy.nodes import MappingNode, Node, ScalarNode, SequenceNode
from gateway.policy.problem import quoted
from gateway.policy.rates import MAX_WINDOW
from gateway.policy.reader import Reader, suggestion
from gateway.policy.values import (
    CLASSES,
    Unfit,
    duration,
    field_name,
    json_pointer,
    name,
    size,
    status_or_class,
    whole_seconds,
)

DEFAULT_ANSWER = 65_536
"""Bytes."""

MIN_REMEMBER = 60.0
"""Seconds: a key that is forgotten before its caller retries is none."""

NOT_DONE = frozenset({408, 425, 429})
"""The statuses by which a server says that it did not begin (RFC 9110 15.5.9, RFC 8470, RFC 6585)."""

FINAL = (CLASSES["2xx"] | CLASSES["3xx"] | CLASSES["4xx"]) - NOT_DONE
RETURNED = CLASSES["4xx"]

_NEVER_KEPT = HOP_BY_HOP | {"content-length", "date", "set-cookie"}


def read_idempotency(reader: Reader, node: Node) -> Idempotency | None:
    """Read how a route tells repeated requests, and what of their answers is kept."""
    errors = reader.errors
    fields = reader.fields(
        node, required=("key", "remember"), optional=("final", "not_done", "answer", "same", "unknown")
    )
    if fields is None:
        return None
    key = _read_key(reader, fields.get("key"))
    remember = reader.value(fields.get("remember"), _remember)
    final = _statuses(reader, fields.get("final"))
    not_done = _statuses(reader, fields.get("not_done"))
    answer = reader.fields(fields.get("answer"), optional=("limit", "fields")) or {}
    limit = reader.value_or(answer.get("limit"), size, DEFAULT_ANSWER)
    kept = reader.values(answer.get("fields"), _kept_field, "field names") or ()
    same = reader.values(fields.get("same"), json_pointer, "JSON pointers")
    again = _read_unknown(reader, fields.get("unknown"))
    if reader.errors > errors or key is None or remember is None:
        return None
    done, undone = _resolve(reader, fields, final, not_done)
    if reader.errors > errors:
        return None
    return Idempotency(
        key, remember, done, undone, limit, ALWAYS_KEPT | set(kept), None if same is None else tuple(same), again
    )


def _read_key(reader: Reader, node: Node | None) -> Key | None:
    if isinstance(node, ScalarNode):
        what = "key; a field or a value of the body is a mapping"
        return SignedKey() if reader.choice(node, ("signature",), what) is not None else None
    fields = reader.fields(node, optional=("header", "pointer"))
    if node is None or fields is None:
        return None
    if len(fields) != 1:
        reader.error(node, "one of `header` and `pointer` says where the key stands")
        return None
    header = reader.value(fields.get("header"), field_name)
    pointer = reader.value(fields.get("pointer"), json_pointer)
    if header is not None:
        return FieldKey(header)
    return None if pointer is None else BodyKey(pointer)


def _read_unknown(reader: Reader, node: Node | None) -> bool:
    """Whether requests of unknown outcome are forwarded again, for a reason that stands in the policy."""
    if node is None:
        return False
    if isinstance(node, ScalarNode):
        reader.choice(node, ("refuse",), "answer; to forward, say why")
        return False
    fields = reader.fields(node, required=("forward",)) or {}
    return reader.text(fields.get("forward"), "why that is safe, such as `the wallet deduplicates`") is not None


type _Written = tuple[frozenset[int], frozenset[int]]
"""Statuses that were named one by one, and those of classes."""


def _statuses(reader: Reader, node: Node | None) -> _Written | None:
    texts = reader.values(node, status_or_class, "statuses")
    if texts is None:
        return None
    single = frozenset(int(text) for text in texts if text not in CLASSES)
    return single, frozenset[int]().union(*(CLASSES[text] for text in texts if text in CLASSES))


def _resolve(
    reader: Reader, fields: Mapping[str, Node], final: _Written | None, not_done: _Written | None
) -> tuple[Statuses, Statuses]:
    """Give both sets: a status named by itself goes before its class. What is in both is a contradiction."""
    undone = not_done or (NOT_DONE - (final[0] if final is not None else frozenset()), frozenset())
    done = final or (frozenset(), FINAL - undone[0] - undone[1])
    both = done[0] & undone[0] or (done[1] & undone[1]) - done[0] - undone[0]
    if both:
        where = fields.get("not_done") or fields.get("final")
        assert where is not None
        reader.error(where, f"status {min(both)} is both final and not done", "name it in one of the two")
    return done[0] | (done[1] - undone[0]), undone[0] | (undone[1] - done[0])


def read_velocity(reader: Reader, node: Node) -> Velocity | None:
    """Read how much a route lets through within which time."""
    errors = reader.errors
    fields = reader.fields(node, required=("limits",), optional=("amount", "digits", "on_reach", "returned"))
    if fields is None:
        return None
    own = _read_digits(reader, fields.get("digits"))
    amount_of = _read_amount(reader, fields["amount"]) if "amount" in fields else None
    limits = [
        limit
        for item in reader.items(fields.get("limits"), "limits") or ()
        if (limit := _read_limit(reader, item, own)) is not None
    ]
    _check_names(reader, fields.get("limits"), limits)
    marks = reader.choice(fields.get("on_reach"), ("deny", "mark")) == "mark"
    returned = _statuses(reader, fields.get("returned"))
    if reader.errors > errors:
        return None
    digits = _check_currencies(reader, fields, limits, amount_of, own)
    if reader.errors > errors:
        return None
    statuses = RETURNED if returned is None else returned[0] | returned[1]
    return Velocity(tuple(limits), statuses, amount_of, digits, marks)


def _read_digits(reader: Reader, node: Node | None) -> dict[str, int]:
    mapping = reader.mapping(node, "decimals by currency")
    found: dict[str, int] = {}
    for text, key in mapping.keys.items() if mapping is not None else ():
        currency = reader.value(key, code)
        digits = reader.whole_number(mapping.values[text], 0, MAX_DIGITS) if mapping is not None else None
        if currency is not None and digits is not None:
            if ISO_DIGITS.get(currency, digits) != digits:
                reader.warning(key, f"{currency} has {ISO_DIGITS[currency]} decimals in ISO 4217")
            found[currency] = digits
    return found


def _read_amount(reader: Reader, node: Node) -> Amount | None:
    fields = reader.fields(node, required=("pointer", "currency", "unit"), optional=("type",))
    if fields is None:
        return None
    pointer = reader.value(fields.get("pointer"), json_pointer)
    written = fields.get("currency")
    if isinstance(written, MappingNode):
        inner = reader.fields(written, required=("pointer",)) or {}
        currency = Currency(pointer=reader.value(inner.get("pointer"), json_pointer))
    else:
        currency = Currency(code=reader.value(written, code))
    unit = reader.choice(fields.get("unit"), ("minor", "major"))
    kind = reader.choice(fields.get("type"), ("number", "string")) or "number"
    if pointer is None or unit is None:
        return None
    return Amount(pointer, currency, minor=unit == "minor", quoted=kind == "string")


def _read_limit(reader: Reader, node: Node, own: Mapping[str, int]) -> VelocityLimit | None:
    fields = reader.fields(node, required=("name", "per", "window"), optional=("sum", "count"))
    if fields is None:
        return None
    named = reader.value(fields.get("name"), name)
    window = reader.value(fields.get("window"), _window)
    by = _read_subjects(reader, fields.get("per"))
    if ("sum" in fields) == ("count" in fields):
        reader.error(node, "one of `sum` and `count` says how much", "two limits are two items, each with its window")
        return None
    count = reader.whole_number(fields.get("count"), 1, 1_000_000_000)
    sums = _read_sums(reader, fields["sum"], own) if "sum" in fields else None
    if named is None or window is None or by is None or (count is None and sums is None):
        return None
    return VelocityLimit(named, window, by, sums, count or 0)


def _read_sums(reader: Reader, node: Node, own: Mapping[str, int]) -> dict[str, int] | None:
    items = reader.items(node, "amounts") if isinstance(node, SequenceNode) else (node,)
    found: dict[str, int] = {}
    for item in items or ():
        read = reader.value(item, lambda text: amount(text, own))
        if read is None:
            continue
        if read[0] in found:
            reader.error(item, f"a second sum in {read[0]}")
        found[read[0]] = read[1]
    return found or None


def _read_subjects(reader: Reader, node: Node | None) -> tuple[Subject, ...] | None:
    if isinstance(node, SequenceNode):
        listed = reader.values(node, _subject, "what is counted by")
        return None if listed is None else tuple(listed)
    one = reader.value(node, _subject)
    return None if one is None else (one,)


def _check_names(reader: Reader, node: Node | None, limits: list[VelocityLimit]) -> None:
    names = [limit.name for limit in limits]
    twice = next((one for one in names if names.count(one) > 1), None)
    if node is not None and twice is not None:
        reader.error(node, f"two limits are named {quoted(twice)}")


def _check_currencies(
    reader: Reader, fields: Mapping[str, Node], limits: list[VelocityLimit], amount_of: Amount | None,
    own: Mapping[str, int],
) -> dict[str, int] | None:  # fmt: skip
    """See that each sum has a limit for each currency that may come; give the decimals of those."""
    summed = [(limit, limit.sums) for limit in limits if limit.sums is not None]
    if not summed:
        if amount_of is not None:
            reader.error(fields["amount"], "no limit has a sum, so the amount is not used", "remove it")
        return None
    if amount_of is None:
        hint = "expected amount: {pointer: /amount, currency: EUR, unit: minor}"
        reader.error(fields["limits"], "a sum needs `amount`, which says where it stands and how it is written", hint)
        return None
    all_of = {currency for _, sums in summed for currency in sums}
    fixed = amount_of.currency.code
    if fixed is not None and all_of != {fixed}:
        reader.error(fields["amount"], f"amounts are in {fixed}, sums in {', '.join(sorted(all_of))}")
    for limit, sums in summed:
        missing = sorted(all_of - set(sums))
        if missing:
            message = f"limit {quoted(limit.name)} has no sum in {', '.join(missing)}"
            reader.error(fields["limits"], message, "what has no limit would go past it: state one for each currency")
    return {currency: own.get(currency, ISO_DIGITS.get(currency, 0)) for currency in all_of}


def _subject(text: str) -> Subject:
    if text in ("partner", "token.sub"):
        return "partner" if text == "partner" else "token.sub"
    if text.startswith("/"):
        return json_pointer(text)
    known = ("partner", "token.sub")
    raise Unfit(
        f"nothing is counted by {quoted(text)}", f"{suggestion(text, known)}, or a JSON pointer such as /player"
    )


def _kept_field(text: str) -> str:
    found = field_name(text)
    if found in _NEVER_KEPT:
        raise Unfit(f"{quoted(text)} is never given again", "it belongs to one message or one caller")
    return found


def _remember(text: str) -> float:
    seconds = duration(text)
    if seconds < MIN_REMEMBER:
        raise Unfit(f"{quoted(text)} is too short", "at least 1m: callers retry for longer than that")
    return seconds


def _window(text: str) -> int:
    seconds = whole_seconds(text)
    if seconds > MAX_WINDOW:
        raise Unfit(f"{quoted(text)} is too long for a window", "at most 31d")
    return seconds
