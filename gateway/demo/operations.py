"""What the upstream offers: each operation's method, path and meaning, under the name the policies give its route."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from gateway.demo.book import Book, Document, Fields

type Act = Callable[[Book, str, Fields], Document]
"""Takes the books, the path's parameter (empty where it has none) and the request's fields."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the three APIs."""

    name: str
    """The name of its route in `policies/`."""
    method: str
    path: re.Pattern[str]
    status: HTTPStatus
    act: Act


def find(method: str, target: str) -> tuple[Operation, str] | None:
    """Give the operation a request means, and its path's parameter."""
    path = target.partition("?")[0]
    for operation in OPERATIONS:
        match = operation.path.fullmatch(path)
        if match is not None and operation.method == method:
            return operation, next(iter(match.groups()), "")
    return None


def _operation(name: str, method: str, path: str, act: Act, status: HTTPStatus = HTTPStatus.OK) -> Operation:
    return Operation(name, method, re.compile(path.replace("{}", "([A-Za-z0-9-]{1,64})")), status, act)


def _debit(book: Book, _: str, fields: Fields) -> Document:
    return book.once("debit", fields, book.debit)


def _credit(book: Book, _: str, fields: Fields) -> Document:
    return book.once("credit", fields, book.credit)


OPERATIONS = (
    _operation(
        "psp-deposit", "POST", "/psp/v1/deposits",
        lambda book, _, fields: book.once("deposit", fields, book.deposit), HTTPStatus.CREATED,
    ),
    _operation(
        "psp-withdrawal", "POST", "/psp/v1/withdrawals",
        lambda book, _, fields: book.once("withdrawal", fields, book.withdraw), HTTPStatus.CREATED,
    ),
    _operation("psp-reconciliation", "GET", "/psp/v1/reconciliations/{}", lambda book, day, _: book.reconcile(day)),
    _operation("pam-account", "GET", "/pam/v1/players/{}", lambda book, player, _: book.account(player)),
    _operation("pam-balance", "GET", "/pam/v1/players/{}/balance", lambda book, player, _: book.balance(player)),
    _operation(
        "pam-limits", "PUT", "/pam/v1/players/{}/limits",
        lambda book, player, fields: book.limit(player, fields),
    ),
    _operation(
        "pam-self-exclusion", "POST", "/pam/v1/players/{}/self-exclusion",
        lambda book, player, fields: book.exclude(player, fields), HTTPStatus.CREATED,
    ),
    _operation(
        "casino-launch", "POST", "/casino/v1/games/{}/launch",
        lambda book, game, fields: book.launch(game, fields), HTTPStatus.CREATED,
    ),
    _operation("casino-debit", "POST", "/casino/v1/wallet/debit", _debit),
    _operation("casino-credit", "POST", "/casino/v1/wallet/credit", _credit),
    _operation("casino-session", "GET", "/casino/v1/sessions/{}", lambda book, name, _: book.session(name)),
    _operation(
        "casino-bonus", "POST", "/casino/v1/bonuses",
        lambda book, _, fields: book.once("bonus", fields, book.award), HTTPStatus.CREATED,
    ),
    _operation("oldreels-debit", "POST", "/casino/v1/oldreels/debit", _debit),
    _operation("oldreels-credit", "POST", "/casino/v1/oldreels/credit", _credit),
)  # fmt: skip
