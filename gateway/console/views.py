"""What stands on each page: a path and what was asked become a template and its values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from gateway.audit.query.questions import BY_NAME, QUESTIONS, Question, compiled
from gateway.audit.reader import UNFINISHED, Query
from gateway.console.archive import Archive, Reading, Row
from gateway.console.history import history
from gateway.console.integrity import integrity
from gateway.console.overview import last_of, overview
from gateway.console.story import story
from gateway.core.message import Instant

TABS = (
    ("/", "Overview"),
    ("/requests", "Requests"),
    ("/questions", "Questions"),
    ("/policy", "Policy"),
    ("/integrity", "Integrity"),
)
FRAME: Mapping[str, object] = {"tabs": (), "tab": "", "directory": ""}
"""For a page without a way on."""

RANGES = {"1h": 3600.0, "24h": 86_400.0, "7d": 604_800.0, "30d": 2_592_000.0, "all": 0.0}
MOST_ROWS = 100

_DAY = 86_400.0

_FOUND = Question("found", "", "SELECT * FROM {source} ORDER BY time DESC, sequence DESC", "requests")


class NotFoundError(Exception):
    """There is no such page, or nothing to show on it; the message says which."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A page."""

    template: str
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Visit:
    archive: Archive
    reading: Reading
    asked: Mapping[str, str]
    now: Instant
    rest: str
    """What follows in the path."""

    @property
    def range(self) -> str:
        """The time that was asked for; without one, the last day, or everything where nothing is of that day."""
        asked = self.asked.get("range", "")
        if asked in RANGES:
            return asked
        ends = self.reading.ends()
        return "24h" if ends is not None and ends[1] >= self.now - _DAY else "all"

    @property
    def query(self) -> Query:
        """The range as a query."""
        seconds = RANGES[self.range]
        return Query(since=Instant(self.now - seconds) if seconds else None)


def shown(archive: Archive, path: str, asked: Mapping[str, str], now: Instant) -> Shown:
    """Give a page. Raises NotFoundError, and what asking the log raises."""
    first, _, rest = path.removeprefix("/").partition("/")
    make = _PAGES.get(first)
    if make is None or (rest and first not in {"request", "questions"}):
        raise NotFoundError("There is no such page.")
    with archive.read() as reading:
        made = make(_Visit(archive, reading, asked, Instant(float(int(now) + 1)), rest))
    tab = "/requests" if first == "request" else f"/{first}"
    return Shown(made.template, {"tabs": TABS, "tab": tab, "directory": archive.directory, **made.values})


def _overview(visit: _Visit) -> Shown:
    ends = visit.reading.ends() or (visit.now, visit.now)
    seen = overview(visit.reading, last_of(ends, RANGES[visit.range], visit.now))
    verified = visit.archive.verification.last
    found = None if verified is None else verified.found
    whole = integrity(visit.reading, visit.archive.directory, visit.archive.keys, found).whole
    return Shown("overview.html", {"title": "Overview", "seen": seen, "range": visit.range, "whole": whole})


def _requests(visit: _Visit) -> Shown:
    fields = ("partner", "route", "reason", "verdict", "from", "to", "id", "range")
    form = {name: visit.asked.get(name, "").strip() for name in fields}
    values: dict[str, object] = {
        "title": "Requests", "form": form, "rows": (), "older": "", "problem": "", "seen": "the newest first",
        "lists": _lists(visit.reading),
    }  # fmt: skip
    try:
        since, until = _instant(form["from"]), _instant(form["to"])
    except ValueError:
        return Shown("requests.html", {**values, "problem": "A time looks like 2026-11-22T13:00:00."})
    if since is None and RANGES.get(form["range"]):
        since = Instant(visit.now - RANGES[form["range"]])
        form["from"] = _field(since)
    query = Query(
        partner=form["partner"] or None,
        route=form["route"] or None,
        reason=form["reason"] or None,
        denied={"denied": True, "allowed": False}.get(form["verdict"]),
        since=since,
        until=until,
        request=form["id"] or None,
    )
    rows = visit.reading.ask(*compiled(_FOUND, query, MOST_ROWS + 1))
    if len(rows) > MOST_ROWS:
        rows = rows[:MOST_ROWS]
        last = rows[-1]["time"]
        assert isinstance(last, datetime)
        onward = {name: value for name, value in form.items() if value and name not in {"to", "range"}}
        values["older"] = "/requests?" + urlencode({**onward, "to": last.isoformat(timespec="milliseconds")})
        values["seen"] = f"the newest {MOST_ROWS} that fit"
    return Shown("requests.html", {**values, "rows": rows})


def _request(visit: _Visit) -> Shown:
    told = story(visit.reading, visit.archive.directory, visit.rest)
    if told is None:
        raise NotFoundError(f"The log has no request {visit.rest}.")
    return Shown("request.html", {"title": f"Request {visit.rest}", "told": told})


def _questions(visit: _Visit) -> Shown:
    question = BY_NAME.get(visit.rest)
    if visit.rest and question is None:
        raise NotFoundError("There is no such question.")
    rows: list[Row] = []
    if question is not None:
        rows = visit.reading.usual(question.name, visit.query, MOST_ROWS + 1)
    values = {"title": visit.rest or "Questions", "asked": question, "questions": QUESTIONS, "range": visit.range}
    return Shown("questions.html", {**values, "rows": rows[:MOST_ROWS], "more": len(rows) > MOST_ROWS})


def _policy(visit: _Visit) -> Shown:
    seen = history(visit.reading)
    since = seen.in_force["time"] if seen.in_force is not None else None
    started = Instant(since.replace(tzinfo=UTC).timestamp()) if isinstance(since, datetime) else None
    off = visit.reading.usual("controls-off", Query(since=started))
    return Shown("policy.html", {"title": "Policy", "seen": seen, "controls_off": off})


def _integrity(visit: _Visit) -> Shown:
    verification = visit.archive.verification
    if visit.asked.get("verify") == "1":
        verification.start(visit.now)
    verified, percent = verification.last, verification.percent
    found = None if verified is None else verified.found
    seen = integrity(visit.reading, visit.archive.directory, visit.archive.keys, found)
    unfinished = visit.reading.ask(f"SELECT count(*) AS n FROM requests WHERE reason = '{UNFINISHED}'")[0]["n"]
    values = {"title": "Integrity", "seen": seen, "verified": verified, "percent": percent, "unfinished": unfinished}
    return Shown("integrity.html", values)


_PAGES: Mapping[str, Callable[[_Visit], Shown]] = {
    "": _overview,
    "requests": _requests,
    "request": _request,
    "questions": _questions,
    "policy": _policy,
    "integrity": _integrity,
}


def _lists(reading: Reading) -> dict[str, list[object]]:
    """Give what can be chosen from."""
    names = {"partners": "partner", "routes": "route", "reasons": "reason"}
    sql = ", ".join(f"list_sort(list(DISTINCT {column})) AS {name}" for name, column in names.items())
    found = reading.ask(f"SELECT {sql} FROM records WHERE kind IN ('decision', 'outcome', 'connection')")[0]
    return {name: values if isinstance(values, list) else [] for name, values in found.items()}


def _instant(text: str) -> Instant | None:
    if not text:
        return None
    read_time = datetime.fromisoformat(text)
    return Instant((read_time if read_time.tzinfo else read_time.replace(tzinfo=UTC)).timestamp())


def _field(at: Instant) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
