"""What an answer says that its request cost.

cost: {answer: {header: X-Cost}, most: 50}
cost: {answer: {pointer: /usage/units}, least: 5, most: 500}
cost: {answer: {status: {4xx: 10, 404: 1}}}
"""

from gateway.controls.charged_rates import AnswerCost
from gateway.controls.rate_limit import RouteLimit
from gateway.policy.nodes import MappingNode, Node
from gateway.policy.reader import Reader
from gateway.policy.values import CLASSES, field_name, json_pointer, status_or_class


def read_answer_cost(reader: Reader, node: MappingNode, limit: RouteLimit) -> AnswerCost | None:
    """Read the cost of a limit, whose `cost` is the least already."""
    least, room = limit.cost, limit.limit.room
    errors = reader.errors
    answer = reader.mapping(node.values["answer"], "{header: NAME}, {pointer: /JSON/POINTER} or {status: {4xx: 10}}")
    if answer is None:
        return None
    by_status = "status" in answer.values
    required = ("answer",) if by_status else ("answer", "most")
    fields = reader.fields(node, required=required, optional=("least",)) or {}
    if len(answer.values) != 1:
        reader.error(answer, "an answer states its cost in one place", "write one of header, pointer and status")
        return None
    inner = reader.fields(answer, optional=("header", "pointer", "status")) or {}
    most = reader.whole_number(fields.get("most"), least, room)
    if by_status:
        prices = _prices(reader, inner.get("status"), least, room)
        return None if reader.errors > errors else AnswerCost(max(prices.values(), default=least), statuses=prices)
    field = reader.value(inner.get("header"), field_name)
    at = reader.value(inner.get("pointer"), json_pointer)
    if reader.errors > errors or most is None:
        return None
    return AnswerCost(most, field, at)


def _prices(reader: Reader, node: Node | None, least: int, room: int) -> dict[int, int]:
    """Read what statuses cost: one that is named by itself goes before its class."""
    mapping = reader.mapping(node, "costs by status, such as {4xx: 10}")
    if mapping is None:
        return {}
    if not mapping.values:
        reader.error(mapping, "names no status", "such as {4xx: 10}")
    single: dict[int, int] = {}
    classes: dict[int, int] = {}
    for text, key in mapping.keys.items():
        named = reader.value(key, status_or_class)
        cost = reader.whole_number(mapping.values[text], least, room)
        if named is None or cost is None:
            continue
        if named in CLASSES:
            classes.update(dict.fromkeys(CLASSES[named], cost))
        else:
            single[int(named)] = cost
    return classes | single
