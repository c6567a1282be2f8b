"""What the log shows for requirements of PCI DSS v4.0.1: each with counts of records, and how to get at these."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.audit.query.questions import timestamp
from gateway.console.archive import Reading
from gateway.console.charts import Span


@dataclass(frozen=True, slots=True)
class Requirement:
    """One row of the table."""

    number: str
    asks: str
    """The requirement in our words."""
    counts: str
    """Expressions over the records of the time; their names stand in `shows`."""
    shows: str
    records: str
    """The command that lists the records."""
    remains: str = ""
    """What the log cannot show."""


REQUIREMENTS = (
    Requirement(
        "1.2.8", "Configuration files are secured and are what is in force",
        "count(DISTINCT policy_sha256) AS digests, count(*) FILTER (policy_sha256 IS NULL) AS without",
        "every record names its policy: {digests} digests in this time, {without} records without one",
        "gateway audit query policies",
        "that the digest is that of the approved files: compare it with `gateway check`",
    ),
    Requirement(
        "1.3.1, 1.4.2", "Only necessary traffic is let in, all else is denied",
        "count(*) FILTER (kind = 'decision' AND denied) AS refused,"
        " count(*) FILTER (kind = 'connection') AS connections,"
        " count(*) FILTER (kind = 'decision' AND verdict = 'allowed' AND route IS NULL) AS without",
        "{refused} requests and {connections} connections refused; {without} requests allowed without a rule",
        "gateway audit query reasons", "that nothing goes round the gate",
    ),
    Requirement(
        "1.4.3", "Forged source addresses are detected and blocked",
        "count(*) FILTER (reason IN ('connection.proxy_untrusted', 'connection.proxy_header')) AS untrusted,"
        " count(*) FILTER (kind = 'decision' AND proxy IS NOT NULL) AS proxied",
        "addresses are taken from trusted proxies only: {proxied} requests came through one, {untrusted} connections"
        " that claimed an address were refused",
        "gateway audit query --reason 'connection.proxy*'",
    ),
    Requirement(
        "3.3.1, 3.5.1", "No authentication data is kept, card numbers are unreadable",
        "count(*) AS records",
        "{records} records; bodies, queries, fields and tokens are never recorded, what looks like a card number is"
        " masked",
        "gateway audit query records", "what upstreams and their logs keep",
    ),
    Requirement(
        "4.2.1", "Strong cryptography in transit; certificates trusted, valid, not revoked",
        "count(*) FILTER (kind = 'decision' AND tls_version IS NOT NULL) AS encrypted,"
        " count(*) FILTER (kind = 'decision' AND tls_version NOT IN ('TLSv1.2', 'TLSv1.3')) AS old,"
        " count(*) FILTER (reason LIKE 'tls.%') AS refused",
        "{encrypted} requests over TLS, {old} of them below 1.2; {refused} connections refused for TLS or certificate",
        "gateway audit query tls",
    ),
    Requirement(
        "4.2.1.1", "Inventory of trusted keys and certificates",
        "count(DISTINCT certificate_sha256) AS certificates,"
        " count(DISTINCT (partner, key_id)) FILTER (key_id IS NOT NULL) AS keys",
        "{certificates} client certificates and {keys} signing keys in use",
        "gateway audit query certificates; gateway certs list POLICY",
    ),
    Requirement(
        "6.2.4, 6.4.2", "Attacks on public web applications are detected and prevented",
        "count(*) FILTER (reason LIKE 'http.%') AS malformed,"
        " count(*) FILTER (reason LIKE 'replay.%' OR reason LIKE 'signature.%') AS forged",
        "{malformed} ambiguous or malformed requests, {forged} forged, altered or repeated ones refused",
        "gateway audit query --reason 'http.*'", "attacks within well-formed, authentic requests",
    ),
    Requirement(
        "6.5.1", "Changes follow change control",
        "count(*) FILTER (kind = 'policy.loaded') AS loaded, count(*) FILTER (kind = 'policy.refused') AS refused",
        "{loaded} policies came into force, {refused} were refused, each with digest and cause",
        "gateway audit query policies", "approval and tests: they belong to the repository of the policy",
    ),
    Requirement(
        "7.2.1, 7.3.3", "Least privilege; denied unless allowed",
        "count(*) FILTER (kind = 'decision' AND verdict = 'allowed') AS allowed,"
        " count(*) FILTER (kind = 'decision' AND verdict = 'allowed' AND len(controls_off) > 0) AS without,"
        " count(*) FILTER (reason = 'partner.not_allowed') AS strangers",
        "{allowed} requests allowed by a named rule, {without} of them on routes that do without some control;"
        " {strangers} refused since the partner is not listed",
        "gateway audit query controls-off",
    ),
    Requirement(
        "8.2.1, 8.3.1, 8.3.2", "Users have ids of their own and are authenticated, by strong factors",
        "count(*) FILTER (kind = 'decision' AND verdict = 'allowed') AS allowed,"
        " count(*) FILTER (kind = 'decision' AND verdict = 'allowed' AND partner IS NULL) AS nobody,"
        " count(*) FILTER (kind = 'decision' AND verdict = 'allowed' AND certificate_sha256 IS NOT NULL) AS certified,"
        " count(*) FILTER (kind = 'decision' AND verdict = 'allowed' AND key_id IS NOT NULL) AS signed,"
        " count(*) FILTER (kind = 'decision' AND verdict = 'allowed' AND subject IS NOT NULL) AS tokens",
        "of {allowed} allowed requests {certified} brought a client certificate, {tokens} a token, {signed} a"
        " signature; {nobody} came from nobody known",
        "gateway audit query partners",
    ),
    Requirement(
        "8.3.11", "Certificates and tokens are assigned to one user",
        "count(DISTINCT certificate_sha256) AS certificates,"
        " count(*) FILTER (reason IN ('token.subject', 'token.binding', 'token.claim_rule')) AS mixed",
        "{certificates} certificates; {mixed} requests refused whose credentials belong to different parties",
        "gateway audit query certificates", "a certificate with several partners in that list is shared",
    ),
    Requirement(
        "10.2.1, 10.2.2", "Events are logged: who, what, when, from where, with what result",
        "count(*) AS records,"
        " count(*) FILTER (kind = 'decision' AND (success IS NULL OR address IS NULL OR reason IS NULL)) AS incomplete",
        "{records} records with time and kind; {incomplete} decisions without result, reason or origin",
        "gateway audit query records",
    ),
    Requirement(
        "10.2.1.4", "Failed authentication is logged",
        "count(*) FILTER (NOT success AND (reason LIKE 'token.%' OR reason LIKE 'signature.%'"
        " OR reason LIKE 'certificate.%' OR reason LIKE 'tls.%')) AS failed",
        "{failed} failures of certificate, token or signature",
        "gateway audit query --denied --reason 'token.*'",
    ),
    Requirement(
        "10.2.1.6", "Start and stop of logging are logged",
        "count(*) FILTER (kind = 'start') AS started, count(*) FILTER (kind = 'stop') AS stopped,"
        " count(*) FILTER (kind = 'control.failed' AND control = 'audit') AS failed",
        "{started} starts, {stopped} stops, {failed} failures of the log",
        "gateway audit query policies; gateway audit query failures",
    ),
    Requirement(
        "10.3.2, 10.3.4", "Logs cannot be changed unseen",
        "count(DISTINCT file) AS files",
        "{files} files with gapless numbers, under signed checkpoints where the policy has a key for them",
        "gateway audit verify", "checkpoints kept where the log's keepers cannot change them",
    ),
    Requirement(
        "10.4.1.1", "Logs are reviewed by automated means",
        "count(*) FILTER (severity >= 3) AS alarming",
        "{alarming} records of medium or high severity",
        'gateway audit query --sql "SELECT * FROM records WHERE severity >= 3"', "that somebody reads them",
    ),
    Requirement(
        "10.5.1", "Twelve months are kept, three at hand",
        "min(time)::DATE AS first, max(time)::DATE AS last",
        "in this report's time the log holds {first} to {last}",
        "ls var/audit", "older logs, where they are archived",
    ),
    Requirement(
        "10.6.1, 10.6.3", "Clocks are right and agree",
        "count(*) FILTER (kind = 'decision' AND signed_at IS NOT NULL) AS signed,"
        " coalesce(round(quantile_cont(abs(epoch(time) - epoch(signed_at)), 0.99)"
        " FILTER (kind = 'decision' AND signed_at IS NOT NULL), 2), 0) AS apart,"
        " count(*) FILTER (kind IN ('start', 'clock')) AS looks,"
        " count(*) FILTER (kind IN ('start', 'clock') AND clock_synchronised) AS kept,"
        " count(*) FILTER (clock_stepped_ms IS NOT NULL) AS steps",
        "of {looks} looks at the machine's clock {kept} found it synchronised; it was set {steps} times; 99 % of"
        " {signed} signatures are dated within {apart} s of it",
        "gateway audit query gate-clock; gateway audit query clocks", "which time source the machine follows",
    ),
    Requirement(
        "10.7.1, 10.7.2, 10.7.3", "Failures of critical controls are detected, reported, answered",
        "count(*) FILTER (kind = 'control.failed') AS failed,"
        " count(*) FILTER (kind = 'control.recovered') AS recovered,"
        " coalesce(round(max(duration_ms) FILTER (kind = 'control.recovered') / 1000, 1), 0) AS longest",
        "{failed} failures began, {recovered} ended; the longest took {longest} s",
        "gateway audit query failures", "who was told, and what was done",
    ),
    Requirement(
        "12.3.3", "Cipher suites and protocols in use are known and reviewed",
        "count(DISTINCT (tls_version, tls_cipher)) FILTER (tls_cipher IS NOT NULL) AS suites",
        "{suites} pairs of protocol and cipher suite in use",
        "gateway audit query tls; gateway certs list POLICY --cbom", "the yearly review",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Evidence:
    """A requirement, with what the log shows for it."""

    requirement: Requirement
    shown: str


def evidence(reading: Reading, span: Span) -> Sequence[Evidence]:
    """Gather it: all counts in one look at the log. Raises QuestionError."""
    structs = [f"({_struct(one.counts)}) AS r{place}" for place, one in enumerate(REQUIREMENTS)]
    row = reading.ask(
        f"SELECT {', '.join(structs)} FROM records WHERE time >= $since AND time < $until",
        {"since": timestamp(span.since), "until": timestamp(span.until)},
    )[0]
    return [Evidence(one, one.shows.format_map(_shown(row[f"r{place}"]))) for place, one in enumerate(REQUIREMENTS)]


def _struct(counts: str) -> str:
    """Make one value of expressions with names: DuckDB's struct_pack takes them the other way round."""
    pairs = []
    depth, start = 0, 0
    for place, char in enumerate(f"{counts},"):
        depth += (char == "(") - (char == ")")
        if char == "," and not depth:
            expression, _, name = counts[start:place].rpartition(" AS ")
            pairs.append(f"{name.strip()} := {expression.strip()}")
            start = place + 1
    return f"struct_pack({', '.join(pairs)})"


def _shown(values: object) -> dict[str, str]:
    assert isinstance(values, dict)
    return {
        name: f"{value:,}".replace(",", "\u202f") if isinstance(value, int) else str("none" if value is None else value)
        for name, value in values.items()
    }
