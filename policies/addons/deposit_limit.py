"""Refuses deposits above a limit, and tells the payment API which limit was checked.

    gateway run policies/ --addon policies/addons/deposit_limit.py

Whatever this code raises denies the request: a body that is no JSON, has no amount, or can be read in two ways.
"""

import json
import re
from decimal import Decimal

from mitmproxy import http

ROUTE = "psp-deposit"
LIMIT = Decimal("10000.00")

AMOUNT = re.compile(r"[0-9]{1,12}\.[0-9]{2}\Z")


def request(flow: http.HTTPFlow) -> None:
    """Look at a request that the policy has allowed."""
    if flow.metadata["gateway.route"] != ROUTE:
        return
    amount = json.loads(flow.request.content or b"", object_pairs_hook=once)["amount"]
    if not isinstance(amount, str) or not AMOUNT.match(amount):
        raise ValueError("no amount such as 25.00")
    if Decimal(amount) > LIMIT:
        flow.comment = f"more than {LIMIT}"  # for the log
        flow.response = http.Response.make(403)  # denies; the caller gets the gate's own answer
        return
    flow.request.headers["x-deposit-limit"] = str(LIMIT)


def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse an object in which a name stands twice: the payment API might take the other value."""
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name stands twice")
    return dict(pairs)
