"""The usual questions, as SQL over the views of `database`: for the command line, the report and the console."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.audit.reader import Query
from gateway.core.message import Instant


@dataclass(frozen=True, slots=True)
class Question:
    """One question; in its SQL, `{source}` stands for the view with what the filters leave of it."""

    name: str
    asks: str
    """What it asks, in words."""
    sql: str
    view: str = "records"
    """`requests` counts each request once, as it ended; `records` has all there is of it."""


QUESTIONS = (
    Question(
        "requests",
        "each request and refused connection as it ended, the newest first",
        "SELECT time, partner, address, method, path, route, status, reason, gate_ms, upstream_ms, request_id"
        " FROM {source} ORDER BY time DESC, sequence DESC",
        "requests",
    ),
    Question(
        "records",
        "all records, the newest first",
        "SELECT time, worker, sequence, kind, partner, reason, detail, message, request_id FROM {source}"
        " ORDER BY time DESC, sequence DESC",
    ),
    Question(
        "partners",
        "traffic and refusals by partner",
        "SELECT coalesce(partner, '(none)') AS partner, count(*) AS requests,"
        " count(*) FILTER (verdict = 'allowed') AS allowed, count(*) FILTER (denied) AS refused,"
        " round(100 * refused / requests, 2) AS refused_percent,"
        " round(quantile_cont(gate_ms, 0.5), 2) AS gate_ms_p50, round(quantile_cont(gate_ms, 0.99), 2) AS gate_ms_p99,"
        " min(time) AS first, max(time) AS last"
        " FROM {source} WHERE kind = 'decision' GROUP BY ALL ORDER BY requests DESC, partner",
    ),
    Question(
        "hours",
        "requests of each hour and partner",
        "SELECT date_trunc('hour', time) AS hour, coalesce(partner, '(none)') AS partner, count(*) AS requests,"
        " count(*) FILTER (verdict = 'allowed') AS allowed, count(*) FILTER (denied) AS refused"
        " FROM {source} WHERE kind = 'decision' GROUP BY ALL ORDER BY hour, partner",
    ),
    Question(
        "routes",
        "traffic and the upstream's time by route",
        "SELECT coalesce(route, '(none)') AS route, upstream, count(*) AS requests,"
        " count(*) FILTER (denied) AS refused,"
        " count(*) FILTER (kind = 'outcome' AND NOT success) AS failed,"
        " round(quantile_cont(upstream_ms, 0.5), 1) AS upstream_ms_p50,"
        " round(quantile_cont(upstream_ms, 0.99), 1) AS upstream_ms_p99"
        " FROM {source} WHERE kind <> 'connection' GROUP BY ALL ORDER BY requests DESC, route",
        "requests",
    ),
    Question(
        "reasons",
        "why requests and connections were refused or failed",
        "SELECT reason, any_value(message) AS meaning, count(*) AS number, count(DISTINCT partner) AS partners,"
        " count(DISTINCT address) AS addresses, min(time) AS first, max(time) AS last"
        " FROM {source} WHERE kind IN ('decision', 'outcome', 'connection', 'connection.cut') AND NOT success"
        " GROUP BY reason ORDER BY number DESC, reason",
    ),
    Question(
        "addresses",
        "the addresses that were refused most",
        "SELECT address, count(*) AS refused, count(DISTINCT partner) AS partners,"
        " list_sort(list(DISTINCT reason)) AS reasons, min(time) AS first, max(time) AS last"
        " FROM {source} WHERE denied AND address IS NOT NULL GROUP BY address ORDER BY refused DESC, address",
    ),
    Question(
        "unfinished",
        "requests that were allowed and have no outcome: reconcile them with the upstream",
        "SELECT time, worker, partner, method, path, route, upstream, request_id"
        " FROM {source} WHERE reason = 'allowed, no outcome' ORDER BY time",
        "requests",
    ),
    Question(
        "controls-off",
        "controls that routes did without, and why",
        "SELECT route, controls_off[1].control AS control, controls_off[1].because AS because, count(*) AS requests,"
        " min(time) AS first, max(time) AS last FROM (SELECT * REPLACE ([unnest(controls_off)] AS controls_off)"
        " FROM {source} WHERE kind = 'decision') GROUP BY ALL ORDER BY route, control",
    ),
    Question(
        "failures",
        "controls that failed, how long, and what was refused meanwhile",
        "SELECT failed.time AS failed, failed.control, failed.detail, recovered.time AS recovered,"
        " round(epoch(recovered.time) - epoch(failed.time), 1) AS seconds, recovered.denied_meanwhile,"
        " failed.worker, failed.sequence"
        " FROM (SELECT * FROM {source} WHERE kind = 'control.failed') AS failed LEFT JOIN"
        " (SELECT * FROM records WHERE kind = 'control.recovered') AS recovered"
        " ON recovered.control = failed.control AND recovered.worker = failed.worker"
        " AND recovered.failed_at = failed.time ORDER BY failed.time, failed.control",
    ),
    Question(
        "policies",
        "policies that came into force or were refused, with their digests",
        "SELECT time, kind, policy, policy_sha256, previous_policy, detail,"
        " len(coalesce(problems, warnings)) AS remarks, worker, sequence FROM {source}"
        " WHERE kind IN ('start', 'stop', 'policy.loaded', 'policy.refused') ORDER BY time, sequence",
    ),
    Question(
        "schemes",
        "the signature schemes that requests were let in by, and what each leaves unprotected",
        "SELECT scheme, partner, count(*) AS requests, any_value(weaknesses) AS weaknesses, min(time) AS first,"
        " max(time) AS last FROM {source} WHERE kind = 'decision' AND verdict = 'allowed' AND scheme IS NOT NULL"
        " GROUP BY scheme, partner ORDER BY scheme, partner",
    ),
    Question(
        "keys",
        "the signing keys in use, and when each was used first and last",
        "SELECT partner, key_id, count(*) AS requests, min(time) AS first, max(time) AS last"
        " FROM {source} WHERE kind = 'decision' AND key_id IS NOT NULL GROUP BY ALL ORDER BY partner, key_id",
    ),
    Question(
        "certificates",
        "the client certificates in use, the first to end first",
        "SELECT certificate_ends AS ends, certificate AS subject, certificate_issuer AS issuer,"
        " certificate_serial AS serial, certificate_sha256 AS sha256, list_sort(list(DISTINCT partner)) AS partners,"
        " count(*) AS requests, max(time) AS last FROM {source}"
        " WHERE certificate_sha256 IS NOT NULL AND kind IN ('decision', 'connection')"
        " GROUP BY ALL ORDER BY ends, subject",
    ),
    Question(
        "tls",
        "versions and cipher suites of TLS in use",
        "SELECT tls_version, tls_cipher, count(*) AS requests, count(DISTINCT connection_id) AS connections,"
        " list_sort(list(DISTINCT partner)) AS partners, max(time) AS last FROM {source}"
        " WHERE tls_version IS NOT NULL AND kind IN ('decision', 'connection') GROUP BY ALL ORDER BY requests DESC",
    ),
    Question(
        "gate-clock",
        "the clock of the gate's machine, as its kernel knew it: at starts, every hour, and where it changed",
        "SELECT time, worker, kind, clock_synchronised AS synchronised, clock_offset_ms AS offset_ms,"
        " clock_error_ms AS error_ms, clock_error_most_ms AS error_most_ms, clock_stepped_ms AS set_by_ms, detail"
        " FROM {source} WHERE kind IN ('start', 'clock') ORDER BY time, worker",
    ),
    Question(
        "clocks",
        "how far signers' clocks are from the gate's, in seconds: above zero they are behind",
        "SELECT partner, key_id, count(*) AS signatures, round(quantile_cont(behind, 0.5), 2) AS median_s,"
        " round(min(behind), 2) AS least_s, round(max(behind), 2) AS most_s"
        " FROM (SELECT *, epoch(time) - epoch(signed_at) AS behind FROM {source}"
        " WHERE kind = 'decision' AND signed_at IS NOT NULL) GROUP BY ALL ORDER BY partner, key_id",
    ),
)
"""In the order of the help."""

BY_NAME: Mapping[str, Question] = {question.name: question for question in QUESTIONS}


def compiled(question: Question, filters: Query, limit: int | None = None) -> tuple[str, dict[str, object]]:
    """Give a question about what the filters leave as SQL, and its parameters; `limit` is the most rows wanted."""
    conditions: list[str] = []
    parameters: dict[str, object] = {}

    def only(condition: str, name: str, value: object) -> None:
        if value is not None:
            conditions.append(condition)
            parameters[name] = value

    only("time >= $since", "since", timestamp(filters.since))
    only("time < $until", "until", timestamp(filters.until))
    only("partner = $partner", "partner", filters.partner)
    only("route = $route", "route", filters.route)
    only("reason GLOB $reason", "reason", filters.reason)
    only("request_id = $request", "request", filters.request)
    only("denied = $denied", "denied", filters.denied)
    source = f"SELECT * FROM {question.view}"
    if conditions:
        source += f" WHERE {' AND '.join(conditions)}"
    sql = question.sql.format(source=f"({source})")
    return (sql if limit is None else f"{sql} LIMIT {limit:d}"), parameters


def timestamp(at: Instant | None) -> datetime | None:
    """Give an instant as the views have it: UTC, without a zone."""
    return None if at is None else datetime.fromtimestamp(at, UTC).replace(tzinfo=None)
