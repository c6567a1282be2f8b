"""What the demo plays: the legitimate calls, then every way to be refused, each a valid call with one thing changed."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway.core.reasons import Reason
from gateway.demo.calls import NOBODY, Call, Forgery, Message, Token
from gateway.demo.credentials import (
    ACME,
    EXPIRED,
    FINANCE,
    FOREIGN,
    LUCKYLOOP,
    NORTHSTAR,
    OLDREELS,
    REGISTER,
    SERVER_ONLY,
    STRANGER,
)
from gateway.demo.signing import sign_oldreels, sign_wallet


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the demo's table."""

    group: str
    title: str
    call: Call
    expected: Reason
    again: bool = False
    """Send the bytes of the row before once more."""
    until_refused: int = 1
    """Send up to so many fresh ones; the first that is refused is the row's."""


PLAYER = "p-1001"
SESSION = "s-0001"
"""The session that the first launch opens."""

DEPOSIT = Call(
    "psp-deposit", ACME, "POST", "/psp/v1/deposits", Token("psp", "psp:deposit"),
    {"player": PLAYER, "amount": "25.00", "currency": "EUR"}, sign_wallet,
)  # fmt: skip
WITHDRAWAL = Call(
    "psp-withdrawal", ACME, "POST", "/psp/v1/withdrawals", Token("psp", "psp:withdraw"),
    {"player": PLAYER, "amount": "10.00", "currency": "EUR"}, sign_wallet,
)  # fmt: skip
RECONCILIATION = Call(
    "psp-reconciliation",
    FINANCE,
    "GET",
    "/psp/v1/reconciliations/2026-11-22?currency=EUR",
    Token("psp", "psp:reconcile"),
)
ACCOUNT = Call("pam-account", ACME, "GET", f"/pam/v1/players/{PLAYER}", Token("pam", "pam:read"))
BALANCE = Call("pam-balance", ACME, "GET", f"/pam/v1/players/{PLAYER}/balance", Token("pam", "pam:read"))
LIMITS = Call(
    "pam-limits", ACME, "PUT", f"/pam/v1/players/{PLAYER}/limits", Token("pam", "pam:limits"),
    {"daily_deposit": "500.00"}, sign_wallet,
)  # fmt: skip
EXCLUSION = Call(
    "pam-self-exclusion", REGISTER, "POST", "/pam/v1/players/p-1003/self-exclusion", Token("pam", "pam:exclude"),
    {"months": 6}, sign_wallet,
)  # fmt: skip
LAUNCH = Call(
    "casino-launch", ACME, "POST", "/casino/v1/games/book-of-gold/launch", Token("casino", "casino:launch"),
    {"player": PLAYER, "currency": "EUR"}, sign_wallet,
)  # fmt: skip
DEBIT = Call(
    "casino-debit", NORTHSTAR, "POST", "/casino/v1/wallet/debit", Token("casino", "wallet:debit"),
    {"session": SESSION, "round": "r-1", "amount": "1.50"}, sign_wallet,
)  # fmt: skip
CREDIT = Call(
    "casino-credit", NORTHSTAR, "POST", "/casino/v1/wallet/credit", Token("casino", "wallet:credit"),
    {"session": SESSION, "round": "r-1", "amount": "4.20"}, sign_wallet,
)  # fmt: skip
STATE = Call("casino-session", NORTHSTAR, "GET", f"/casino/v1/sessions/{SESSION}", Token("casino", "session:read"))
BONUS = Call(
    "casino-bonus", LUCKYLOOP, "POST", "/casino/v1/bonuses", Token("casino", "bonus:award"),
    {"player": PLAYER, "campaign": "autumn", "amount": "5.00"},
)  # fmt: skip
OLD_DEBIT = Call(
    "oldreels-debit", OLDREELS, "POST", "/casino/v1/oldreels/debit", None,
    {"session": SESSION, "amount": "0.50"}, sign_oldreels,
)  # fmt: skip
OLD_CREDIT = Call(
    "oldreels-credit", OLDREELS, "POST", "/casino/v1/oldreels/credit", None,
    {"session": SESSION, "amount": "0.80"}, sign_oldreels,
)  # fmt: skip


def with_token(call: Call, **changes: object) -> Call:
    """Give the call with another token."""
    if call.token is None:
        raise RuntimeError(f"{call.operation} sends no token")
    return replace(call, token=replace(call.token, **changes))  # type: ignore[arg-type]


def with_fields(*fields: tuple[str, str]) -> Callable[[Message], Message]:
    """Add fields to a message that is then sent byte by byte as it is."""
    return lambda message: replace(message, fields=(*message.fields, *fields))


def without_signature(message: Message) -> Message:
    """Leave the signature out."""
    return replace(message, fields=tuple(field for field in message.fields if field[0] != "X-Signature"))


def with_more_money(message: Message) -> Message:
    """Change the amount under way."""
    return replace(message, body=message.body.replace(b'"25.00"', b'"95.00"'))


def as_smuggled(message: Message) -> Message:
    """Frame the body twice, so that two readers would see different requests (RFC 9112 11.2)."""
    hidden = b"0\r\n\r\nGET /pam/v1/players/p-1001 HTTP/1.1\r\nHost: gateway\r\n\r\n"
    framing = (("Content-Length", str(len(hidden))), ("Transfer-Encoding", "chunked"))
    return replace(message, fields=(*message.fields, *framing), body=hidden)


ALLOWED = Reason.ALLOWED

LEGITIMATE = (
    Scenario("PSP", "deposit", DEPOSIT, ALLOWED),
    Scenario("PSP", "withdrawal", WITHDRAWAL, ALLOWED),
    Scenario("PSP", "reconciliation", RECONCILIATION, ALLOWED),
    Scenario("PAM", "account", ACCOUNT, ALLOWED),
    Scenario("PAM", "balance", BALANCE, ALLOWED),
    Scenario("PAM", "deposit limit", LIMITS, ALLOWED),
    Scenario("PAM", "self-exclusion", EXCLUSION, ALLOWED),
    Scenario("Casino", "game launch, over HTTP/2", replace(LAUNCH, http2=True), ALLOWED),
    Scenario("Casino", "wallet debit", DEBIT, ALLOWED),
    Scenario("Casino", "wallet credit, by the next key", replace(CREDIT, key_id="northstar-b"), ALLOWED),
    Scenario("Casino", "session state", STATE, ALLOWED),
    Scenario("Casino", "bonus award, from a vendor that cannot sign", BONUS, ALLOWED),
    Scenario("Casino", "debit, from a vendor that has no tokens", OLD_DEBIT, ALLOWED),
    Scenario("Casino", "credit, from the same", OLD_CREDIT, ALLOWED),
)

SPOOFED = (
    Scenario(
        "Spoofing", "X-Forwarded-For of somebody else: changes nothing",
        replace(BALANCE, extra=(("X-Forwarded-For", "203.0.113.9"),)), ALLOWED,
    ),
    Scenario(
        "Spoofing", "X-Gateway-Partner of somebody else: stripped",
        replace(BALANCE, extra=(("X-Gateway-Partner", "northstar-games"),)), ALLOWED,
    ),
    Scenario(
        "Spoofing", "X-Forwarded-For of the partner, from elsewhere",
        replace(BALANCE, source="127.0.0.2", extra=(("X-Forwarded-For", "127.0.0.1"),)), Reason.ADDRESS_NOT_ALLOWED,
    ),
)  # fmt: skip

CONNECTION = (
    Scenario("Connection", "plaintext on the TLS port", replace(DEPOSIT, plaintext=True), Reason.TLS_PLAINTEXT),
    Scenario("Connection", "no client certificate", replace(DEPOSIT, identity=NOBODY), Reason.TLS_NO_CERTIFICATE),
    Scenario(
        "Connection", "certificate of a foreign CA",
        replace(DEPOSIT, identity=FOREIGN), Reason.TLS_CERTIFICATE_UNTRUSTED,
    ),
    Scenario("Connection", "expired certificate", replace(DEPOSIT, identity=EXPIRED), Reason.TLS_CERTIFICATE_EXPIRED),
    Scenario(
        "Connection", "certificate made for servers",
        replace(DEPOSIT, identity=SERVER_ONLY), Reason.TLS_CERTIFICATE_PURPOSE,
    ),
    Scenario(
        "Caller", "certificate of a trusted CA, no partner's",
        replace(DEPOSIT, identity=STRANGER), Reason.PARTNER_UNKNOWN,
    ),
    Scenario(
        "Caller", "partner that the route does not list",
        replace(DEPOSIT, identity=NORTHSTAR.name), Reason.PARTNER_NOT_ALLOWED,
    ),
    Scenario(
        "Caller", "address outside the allowlist", replace(DEPOSIT, source="127.0.0.2"), Reason.ADDRESS_NOT_ALLOWED
    ),
)  # fmt: skip

TOKEN = (
    Scenario("Token", "none", replace(DEPOSIT, token=None), Reason.TOKEN_MISSING),
    Scenario("Token", "expired", with_token(DEPOSIT, issued_ago=600), Reason.TOKEN_EXPIRED),
    Scenario("Token", "issued in the future", with_token(DEPOSIT, issued_ago=-600), Reason.TOKEN_NOT_YET_VALID),
    Scenario("Token", "valid for a day", with_token(DEPOSIT, lifetime=86_400), Reason.TOKEN_LIFETIME),
    Scenario(
        "Token", "signed by another key under a known id",
        with_token(DEPOSIT, forgery=Forgery.KNOWN_KEY_ID), Reason.TOKEN_SIGNATURE,
    ),
    Scenario(
        "Token", "signed by an unknown key",
        with_token(DEPOSIT, forgery=Forgery.UNKNOWN_KEY_ID), Reason.TOKEN_KEY_UNKNOWN,
    ),
    Scenario("Token", "alg none", with_token(DEPOSIT, forgery=Forgery.UNSIGNED), Reason.TOKEN_ALGORITHM),
    Scenario(
        "Token", "of another issuer", with_token(DEPOSIT, issuer="https://idp.other.example"), Reason.TOKEN_ISSUER
    ),
    Scenario("Token", "for another audience", with_token(DEPOSIT, audience="casino"), Reason.TOKEN_AUDIENCE),
    Scenario("Token", "without the scope", with_token(DEPOSIT, scopes="psp:withdraw"), Reason.TOKEN_SCOPE),
    Scenario("Token", "of another partner", with_token(DEPOSIT, subject=NORTHSTAR.subject), Reason.TOKEN_SUBJECT),
)  # fmt: skip

SIGNATURE = (
    Scenario("Signature", "none", replace(DEPOSIT, change=without_signature), Reason.SIGNATURE_MISSING),
    Scenario(
        "Signature", "body changed under way", replace(DEPOSIT, change=with_more_money), Reason.SIGNATURE_MISMATCH
    ),
    Scenario(
        "Signature", "sent to another path",
        replace(DEPOSIT, change=lambda message: replace(message, target="/psp/v1/deposits?instant=1")),
        Reason.SIGNATURE_MISMATCH,
    ),
    Scenario("Signature", "two hours old", replace(DEPOSIT, signed_ago=7200), Reason.SIGNATURE_STALE),
    Scenario("Signature", "an hour ahead", replace(DEPOSIT, signed_ago=-3600), Reason.SIGNATURE_FUTURE),
    Scenario("Signature", "unknown key", replace(DEPOSIT, key_id="acme-2031-01"), Reason.SIGNATURE_KEY_UNKNOWN),
    Scenario("Replay", "a debit for the first time", DEBIT, ALLOWED),
    Scenario("Replay", "the same debit again, every byte valid", DEBIT, Reason.REPLAY_SEEN, again=True),
    Scenario("Replay", "a debit without nonce for the first time", OLD_DEBIT, ALLOWED),
    Scenario("Replay", "the same again, known by its digest", OLD_DEBIT, Reason.REPLAY_SEEN, again=True),
)  # fmt: skip

MESSAGE = (
    Scenario("Route", "unknown path", replace(BALANCE, target="/pam/v1/admin"), Reason.ROUTE_UNKNOWN),
    Scenario("Route", "method without a route", replace(BALANCE, method="DELETE"), Reason.METHOD_NOT_ALLOWED),
    Scenario("Message", "method TRACE", replace(BALANCE, method="TRACE"), Reason.METHOD_UNKNOWN),
    Scenario(
        "Message", "HTTP/1.0",
        replace(BALANCE, change=lambda message: replace(message, version="HTTP/1.0")), Reason.VERSION_UNSUPPORTED,
    ),
    Scenario(
        "Smuggling", "Content-Length and Transfer-Encoding",
        replace(DEPOSIT, change=as_smuggled), Reason.FRAMING_AMBIGUOUS,
    ),
    Scenario(
        "Smuggling", "two Host fields",
        replace(BALANCE, change=with_fields(("Host", "127.0.0.1"), ("Host", "psp.internal"))), Reason.HOST_INVALID,
    ),
    Scenario(
        "Smuggling", "absolute target that names another host",
        replace(BALANCE, change=lambda message: replace(message, target=f"https://psp.internal{message.target}")),
        Reason.HOST_INVALID,
    ),
    Scenario(
        "Smuggling", "path with dot segments",
        replace(BALANCE, change=lambda message: replace(message, target=f"/psp/v1/..{message.target}")),
        Reason.TARGET_AMBIGUOUS,
    ),
    Scenario(
        "Smuggling", "two Authorization fields",
        replace(BALANCE, change=with_fields(("Authorization", "Bearer another"))), Reason.FIELD_REPEATED,
    ),
    Scenario(
        "Smuggling", "field name that servers may read as another",
        replace(BALANCE, change=with_fields(("X_Gateway_Partner", "northstar-games"))), Reason.FIELD_INVALID,
    ),
    Scenario(
        "Size", "body of 1 MB",
        replace(DEPOSIT, body={"player": PLAYER, "note": "x" * 1_000_000}), Reason.BODY_TOO_LARGE,
    ),
    Scenario("Size", "head of 60 KB", replace(BALANCE, extra=(("X-Padding", "x" * 60_000),)), Reason.HEAD_TOO_LARGE),
)  # fmt: skip

RETRIED = replace(DEBIT, body={**(DEBIT.body or {}), "reference": "demo-retried"})

MONEY = (
    Scenario("Retry", "a debit for the first time", RETRIED, ALLOWED),
    Scenario("Retry", "signed anew: answered as before, not made twice", RETRIED, Reason.IDEMPOTENCY_ANSWERED),
    Scenario(
        "Retry", "the same reference with another amount",
        replace(RETRIED, body={**(RETRIED.body or {}), "amount": "9.99"}), Reason.IDEMPOTENCY_KEY_REUSED,
    ),
    Scenario(
        "Velocity", "a withdrawal beyond the player's day",
        replace(WITHDRAWAL, body={**(WITHDRAWAL.body or {}), "amount": "5000.01"}), Reason.VELOCITY_EXCEEDED,
    ),
    Scenario(
        "Velocity", "a negative withdrawal, which would make room",
        replace(WITHDRAWAL, body={**(WITHDRAWAL.body or {}), "amount": "-5000.00"}), Reason.VELOCITY_AMOUNT_NEGATIVE,
    ),
)  # fmt: skip

RATE = (
    Scenario("Rate", "reconciliations without end", RECONCILIATION, Reason.RATE_EXCEEDED, until_refused=25),
    Scenario("Rate", "meanwhile another partner's deposit", DEPOSIT, ALLOWED),
)

SCENARIOS = (*LEGITIMATE, *SPOOFED, *CONNECTION, *TOKEN, *SIGNATURE, *MESSAGE, *MONEY, *RATE)
