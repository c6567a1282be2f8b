"""How the demo's partners sign: written from the partner's contract with the standard library, not from the gate."""

import hashlib
import hmac
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a partner chooses for each request."""

    key_id: str
    timestamp: int
    """Unix seconds."""
    nonce: str


type Fields = dict[str, str]


def sign_wallet(secret: bytes, stamp: Stamp, method: str, target: str, body: bytes) -> Fields:
    """Scheme `wallet` of `policies/gateway.yaml`: method, target, timestamp, nonce and body, each on its line."""
    head = f"{method}\n{target}\n{stamp.timestamp}\n{stamp.nonce}\n".encode()
    return {
        "X-Key-Id": stamp.key_id,
        "X-Timestamp": str(stamp.timestamp),
        "X-Nonce": stamp.nonce,
        "X-Signature": hmac.new(secret, head + body, hashlib.sha256).hexdigest(),
    }


def sign_oldreels(secret: bytes, stamp: Stamp, method: str, target: str, body: bytes) -> Fields:
    """Scheme `oldreels`: timestamp, method, target and body, each on its line; no nonce."""
    text = f"{stamp.timestamp}\n{method}\n{target}\n".encode() + body
    return {
        "X-Client-Key": stamp.key_id,
        "X-Client-TS": str(stamp.timestamp),
        "X-Client-Signature": hmac.new(secret, text, hashlib.sha256).hexdigest(),
    }
