"""The books behind the demo's APIs: players, balances and sessions, in memory and in exact decimals."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from http import HTTPStatus

_AMOUNT = re.compile(r"(?:0|[1-9][0-9]{0,8})\.[0-9]{2}\Z")
"""Two decimals, as text: a JSON number may have been through a float on its way."""

type Document = dict[str, object]
type Fields = Mapping[str, object]


class Refused(Exception):  # noqa: N818 - an answer, not an error of ours
    """What the business refuses: the status and a stable code for the caller."""

    def __init__(self, status: HTTPStatus, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


@dataclass(slots=True)
class Player:
    """A player's account."""

    name: str
    currency: str = "EUR"
    balance: Decimal = Decimal("0.00")
    bonus: Decimal = Decimal("0.00")
    daily_deposit_limit: Decimal = Decimal("1000.00")
    deposited_today: Decimal = Decimal("0.00")
    excluded_months: int = 0

    def check_may_play(self) -> None:
        """Raise Refused for a player who excluded himself."""
        if self.excluded_months:
            raise Refused(HTTPStatus.FORBIDDEN, "player_self_excluded")


@dataclass(slots=True)
class Session:
    """One player in one game."""

    name: str
    player: str
    game: str
    wagered: Decimal = Decimal("0.00")
    won: Decimal = Decimal("0.00")


@dataclass(slots=True)
class Book:
    """All accounts. Every movement has the caller's own reference: what is sent twice moves money once."""

    players: dict[str, Player] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    _movements: dict[tuple[str, str], tuple[Fields, Document]] = field(default_factory=dict)

    @classmethod
    def opened(cls) -> "Book":
        """Make books with a few players who have some money."""
        names = ("p-1001", "p-1002", "p-1003")
        return cls({name: Player(name, balance=Decimal("100.00")) for name in names})

    def once(self, kind: str, fields: Fields, move: Callable[[Fields], Document]) -> Document:
        """Move once a reference; the same request again has the first answer, another one under it is refused."""
        reference = _text(fields, "reference")
        seen = self._movements.get((kind, reference))
        if seen is None:
            answer = {"reference": reference, **move(fields)}
            self._movements[kind, reference] = (fields, answer)
            return answer
        if seen[0] != fields:
            raise Refused(HTTPStatus.CONFLICT, "reference_reused")
        return seen[1]

    # Payment service provider

    def deposit(self, fields: Fields) -> Document:
        """Pay in, within the player's limit."""
        player, amount = self._player(fields), _amount(fields)
        player.check_may_play()
        if player.deposited_today + amount > player.daily_deposit_limit:
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "deposit_limit_reached")
        player.deposited_today += amount
        player.balance += amount
        return {"status": "captured", "amount": str(amount), "balance": str(player.balance)}

    def withdraw(self, fields: Fields) -> Document:
        """Pay out, as far as the balance goes; self-exclusion does not keep a player's money from him."""
        player, amount = self._player(fields), _amount(fields)
        self._take(player, amount)
        return {"status": "accepted", "amount": str(amount), "balance": str(player.balance)}

    def reconcile(self, day: str) -> Document:
        """Give the day's totals: the demo has one day only."""
        totals = dict.fromkeys(("deposit", "withdrawal"), Decimal("0.00"))
        for (kind, _), (_, answer) in self._movements.items():
            if kind in totals:
                totals[kind] += Decimal(str(answer["amount"]))
        return {"day": day, "deposits": str(totals["deposit"]), "withdrawals": str(totals["withdrawal"])}

    # Player account management

    def account(self, name: str) -> Document:
        """Give the account's state."""
        player = self._named(name)
        state = "self-excluded" if player.excluded_months else "active"
        return {"player": player.name, "state": state, "currency": player.currency}

    def balance(self, name: str) -> Document:
        """Give the balances."""
        player = self._named(name)
        return {"balance": str(player.balance), "bonus": str(player.bonus), "currency": player.currency}

    def limit(self, name: str, fields: Fields) -> Document:
        """Set the daily deposit limit."""
        player = self._named(name)
        player.daily_deposit_limit = _amount(fields, "daily_deposit")
        return {"daily_deposit": str(player.daily_deposit_limit)}

    def exclude(self, name: str, fields: Fields) -> Document:
        """Exclude a player. An exclusion is never shortened."""
        months = fields.get("months")
        if not isinstance(months, int) or isinstance(months, bool) or not 1 <= months <= 120:
            raise Refused(HTTPStatus.BAD_REQUEST, "months_invalid")
        player = self._named(name)
        player.excluded_months = max(player.excluded_months, months)
        return {"player": player.name, "excluded_months": player.excluded_months}

    # Casino

    def launch(self, game: str, fields: Fields) -> Document:
        """Open a session of a game."""
        player = self._player(fields)
        player.check_may_play()
        session = Session(f"s-{len(self.sessions) + 1:04}", player.name, game)
        self.sessions[session.name] = session
        return {"session": session.name, "url": f"https://games.northstar.example/{game}?session={session.name}"}

    def debit(self, fields: Fields) -> Document:
        """Take a stake."""
        session, amount = self._session(fields), _amount(fields)
        player = self._named(session.player)
        player.check_may_play()
        self._take(player, amount)
        session.wagered += amount
        return {"balance": str(player.balance)}

    def credit(self, fields: Fields) -> Document:
        """Pay a win: also to a player who excluded himself while the game ran."""
        session, amount = self._session(fields), _amount(fields)
        player = self._named(session.player)
        player.balance += amount
        session.won += amount
        return {"balance": str(player.balance)}

    def session(self, name: str) -> Document:
        """Give a session's state."""
        session = self.sessions.get(name)
        if session is None:
            raise Refused(HTTPStatus.NOT_FOUND, "session_unknown")
        return {"session": name, "game": session.game, "wagered": str(session.wagered), "won": str(session.won)}

    def award(self, fields: Fields) -> Document:
        """Award a bonus."""
        player, amount = self._player(fields), _amount(fields)
        player.check_may_play()
        player.bonus += amount
        return {"bonus": str(player.bonus)}

    # What they have in common

    @staticmethod
    def _take(player: Player, amount: Decimal) -> None:
        if amount > player.balance:
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "insufficient_funds")
        player.balance -= amount

    def _named(self, name: str) -> Player:
        player = self.players.get(name)
        if player is None:
            raise Refused(HTTPStatus.NOT_FOUND, "player_unknown")
        return player

    def _player(self, fields: Fields) -> Player:
        return self._named(_text(fields, "player"))

    def _session(self, fields: Fields) -> Session:
        session = self.sessions.get(_text(fields, "session"))
        if session is None:
            raise Refused(HTTPStatus.NOT_FOUND, "session_unknown")
        return session


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= 64:
        raise Refused(HTTPStatus.BAD_REQUEST, f"{name}_invalid")
    return value


def _amount(fields: Fields, name: str = "amount") -> Decimal:
    value = fields.get(name)
    if not isinstance(value, str) or not _AMOUNT.match(value) or Decimal(value) == 0:
        raise Refused(HTTPStatus.BAD_REQUEST, f"{name}_invalid")
    return Decimal(value)
