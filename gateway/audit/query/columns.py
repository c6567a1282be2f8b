"""The columns of the view `records`: what each is, and where in a record it stands. docs/query.md lists them."""

from dataclasses import dataclass
from functools import reduce

type Shape = dict[str, "str | Shape"]
"""Members of an object: their SQL type, or their own members."""

TIME = "TIMESTAMP"
"""Without a zone: always UTC."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    name: str
    type: str
    path: str
    """Members from the record's root, with dots."""
    meaning: str
    sql: str = ""
    """How the column is made of the member, which stands for `{}`; empty: it is the member itself."""
    member: str = ""
    """SQL type of the member, where it differs from the column's."""


def _when(name: str, path: str, meaning: str) -> Column:
    """Give a column of a time, which a record has as milliseconds since 1970."""
    return Column(name, TIME, path, meaning, "make_timestamp_ms({})", "BIGINT")


COLUMNS = (
    _when("time", "time", "when it happened, UTC"),
    Column("kind", "VARCHAR", "metadata.event_code", "`decision`, `outcome`, `connection`, `start` …, as in audit.md"),
    Column("request_id", "VARCHAR", "metadata.correlation_uid", "id of the request, or of the refused connection"),
    Column("sequence", "BIGINT", "metadata.sequence", "number in its log"),
    Column("uid", "VARCHAR", "metadata.uid", "id of the record: who wrote it, and its number"),
    Column("reason", "VARCHAR", "status_code", "`allowed`, the code of the refusal, or what happened to the gate"),
    Column("detail", "VARCHAR", "status_detail", "the diagnosis"),
    Column("message", "VARCHAR", "message", "title of the reason"),
    Column("denied", "BOOLEAN", "action_id", "whether a request, connection or policy was refused; null: neither",
           "{} = 2", "BIGINT"),
    Column("verdict", "VARCHAR", "action_id", "`allowed`, `denied`, or `answered`: as before, without the upstream",
           "CASE {} WHEN 1 THEN 'allowed' WHEN 2 THEN 'denied' WHEN 3 THEN 'answered' END", "BIGINT"),
    Column("success", "BOOLEAN", "status_id", "whether what the record is about went well", "{} = 1", "BIGINT"),
    Column("severity", "BIGINT", "severity_id", "1 informational to 4 high"),
    Column("partner", "VARCHAR", "actor.app_uid", "who called, as verified"),
    Column("subject", "VARCHAR", "actor.user.uid", "subject of the verified token"),
    Column("issuer", "VARCHAR", "actor.idp.name", "issuer of the verified token"),
    Column("address", "VARCHAR", "src_endpoint.ip", "the client's address"),
    Column("port", "BIGINT", "src_endpoint.port", "its port; null behind a trusted proxy"),
    Column("proxy", "VARCHAR", "src_endpoint.proxy_endpoint.ip", "the trusted proxy that named the address"),
    Column("listener", "VARCHAR", "dst_endpoint.svc_name", "the listener"),
    Column("route", "VARCHAR", "api.operation", "the policy's route; null where none was found",
           "nullif({}, '(none)')"),
    Column("upstream", "VARCHAR", "api.service.name", "the upstream the route leads to"),
    Column("token_id", "VARCHAR", "api.token.uid", "jti of the verified token"),
    _when("token_expires", "api.token.expiration_time", "when the verified token ends"),
    Column("method", "VARCHAR", "http_request.http_method", "method of the request"),
    Column("host", "VARCHAR", "http_request.url.hostname", "host it asked for"),
    Column("path", "VARCHAR", "http_request.url.path", "path it asked for"),
    Column("http_version", "VARCHAR", "http_request.version", "version of HTTP"),
    Column("request_bytes", "BIGINT", "http_request.body_length", "length of its body, where known"),
    Column("status", "BIGINT", "http_response.code", "status the caller was sent"),
    Column("response_bytes", "BIGINT", "http_response.body_length", "length of the answer's body"),
    Column("gate_ms", "DOUBLE", "unmapped.gate_ms", "milliseconds the gate took"),
    Column("upstream_ms", "DOUBLE", "unmapped.upstream_ms", "milliseconds the upstream took"),
    Column("duration_ms", "BIGINT", "duration", "milliseconds of the whole; of a failure, how long it lasted"),
    Column("controls_passed", "VARCHAR[]", "unmapped.controls_passed", "controls that passed, in their order"),
    Column("denied_by", "VARCHAR", "unmapped.denied_by", "the control that denied"),
    Column("controls_off", "STRUCT(control VARCHAR, because VARCHAR)[]", "unmapped.controls_off",
           "controls the route does without, with the policy's reason"),
    Column("scheme", "VARCHAR", "unmapped.scheme", "signature scheme that the route asks for"),
    Column("weaknesses", "VARCHAR[]", "unmapped.weaknesses", "what that scheme leaves unprotected"),
    Column("key_id", "VARCHAR", "unmapped.key_id", "key of the verified signature"),
    _when("signed_at", "unmapped.signed_at", "time the signer stated"),
    Column("nonce_sha256", "VARCHAR", "unmapped.nonce_sha256", "digest of the signature's nonce"),
    Column("tls_version", "VARCHAR", "unmapped.tls.version", "version of TLS"),
    Column("tls_cipher", "VARCHAR", "unmapped.tls.cipher", "its cipher suite"),
    Column("certificate", "VARCHAR", "unmapped.tls.certificate.subject", "subject of the client's certificate"),
    Column("certificate_issuer", "VARCHAR", "unmapped.tls.certificate.issuer", "its issuer"),
    Column("certificate_serial", "VARCHAR", "unmapped.tls.certificate.serial_number", "its serial number"),
    Column("certificate_sha256", "VARCHAR", "unmapped.tls.certificate.fingerprints", "its fingerprint",
           "{}[1].value", "STRUCT(value VARCHAR)[]"),
    _when("certificate_ends", "unmapped.tls.certificate.expiration_time", "when it ends"),
    Column("connection_id", "VARCHAR", "unmapped.connection_id", "the connection that carried the request"),
    Column("unread", "VARCHAR", "unmapped.unread", "first line of a head that could not be read"),
    Column("policy", "VARCHAR", "policy.name", "policy in force"),
    Column("policy_sha256", "VARCHAR", "policy.uid", "its digest"),
    Column("previous_policy", "VARCHAR", "unmapped.previous_policy", "digest of the policy before (`policy.loaded`)"),
    Column("listeners", "VARCHAR[]", "unmapped.listeners", "what the gate listens on (`start`)"),
    Column("warnings", "VARCHAR[]", "unmapped.warnings", "what the linter says of the policy (`start`, `policy.*`)"),
    Column("problems", "VARCHAR[]", "unmapped.problems", "why a policy was refused (`policy.refused`)"),
    Column("clock_synchronised", "BOOLEAN", "unmapped.clock.synchronised",
           "whether something keeps the machine's clock right (`start`, `clock`); null: not known"),
    Column("clock_offset_ms", "DOUBLE", "unmapped.clock.offset_ms", "what it is still being moved by"),
    Column("clock_error_ms", "DOUBLE", "unmapped.clock.error_ms", "how far off it is, as the kernel estimates"),
    Column("clock_error_most_ms", "DOUBLE", "unmapped.clock.error_most_ms", "how far off it is at most"),
    Column("clock_stepped_ms", "DOUBLE", "unmapped.clock.stepped_ms", "what it was set by; null: it was not set"),
    Column("unfinished", "BIGINT", "unmapped.unfinished", "requests cut off at the stop (`stop`)"),
    Column("control", "VARCHAR", "unmapped.control", "what failed or works again (`control.*`)"),
    _when("failed_at", "start_time", "when it failed (`control.recovered`)"),
    Column("denied_meanwhile", "BIGINT", "unmapped.denied", "requests refused meanwhile without a record each"),
)  # fmt: skip

PLACE = {
    "worker": "folder of the worker whose log it is; empty for the folder that was given",
    "file": "name of the file that holds it, uncompressed",
}
"""Columns that no record has: where it stands."""


def shape() -> str:
    """Give what is read of a line, as DuckDB's read_json wants it: members that no column needs are passed over."""
    root: Shape = {}
    for column in COLUMNS:
        *above, last = column.path.split(".")
        holder = reduce(_inside, above, root)
        holder[last] = column.member or column.type
    return "{" + ", ".join(f"{name}: '{_type(kind)}'" for name, kind in root.items()) + "}"


def _inside(holder: Shape, name: str) -> Shape:
    found = holder.setdefault(name, {})
    assert not isinstance(found, str)
    return found


def _type(kind: str | Shape) -> str:
    if isinstance(kind, str):
        return kind
    return "STRUCT(" + ", ".join(f'"{name}" {_type(inner)}' for name, inner in kind.items()) + ")"


def selection() -> str:
    """Give the columns as a list of expressions over what is read of a line."""
    return ", ".join(f'{_expression(column)}::{column.type} AS "{column.name}"' for column in COLUMNS)


def _expression(column: Column) -> str:
    member = ".".join(f'"{name}"' for name in column.path.split("."))
    return f"({column.sql.format(member) if column.sql else member})"
