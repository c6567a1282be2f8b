"""RFC 6962 and the C2SP documents once more, as plainly as they are written: held against writer and verifier."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

INPUTS = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
"""Leaves of the published tests of Certificate Transparency's Merkle tree."""
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""Their roots, by the number of leaves less one."""

SKEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"  # a published example
VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
NOTE = (
    f"{TEXT}\n— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
"""The example of Go's sumdb/note."""


def mth(entries: Sequence[bytes]) -> bytes:
    """Merkle Tree Hash (RFC 6962, section 2.1)."""
    if not entries:
        return hashlib.sha256().digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = 1
    while k * 2 < len(entries):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(entries[:k]) + mth(entries[k:])).digest()


def path(m: int, entries: Sequence[bytes]) -> list[bytes]:
    """Merkle audit path (RFC 6962, section 2.1.1)."""
    if len(entries) == 1:
        return []
    k = 1
    while k * 2 < len(entries):
        k *= 2
    if m < k:
        return [*path(m, entries[:k]), mth(entries[k:])]
    return [*path(m - k, entries[k:]), mth(entries[:k])]


def number(n: int) -> str:
    """Index of a tile as a path."""
    digits = str(n)
    digits = "0" * (-len(digits) % 3) + digits
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    return "/".join(["x" + group for group in groups[:-1]] + groups[-1:])


def tiles(entries: Sequence[bytes]) -> dict[str, bytes]:
    """Every file of the tree (C2SP tlog-tiles), by its path."""
    files: dict[str, bytes] = {}

    def add(level: str, items: Sequence[bytes]) -> None:
        for n in range(0, len(items), 256):
            some = items[n : n + 256]
            partial = "" if len(some) == 256 else f".p/{len(some)}"
            files[f"tile/{level}/{number(n // 256)}{partial}"] = b"".join(some)

    add("entries", [len(entry).to_bytes(2, "big") + entry for entry in entries])
    level = 0
    while (span := 256**level) <= len(entries):
        whole = len(entries) // span
        add(str(level), [mth(entries[i * span : (i + 1) * span]) for i in range(whole)])
        level += 1
    return files


def open_checkpoint(note: str, vkey: str) -> tuple[str, int, bytes]:
    """Open a note by a key in the form of Go's sumdb/note, and read the checkpoint."""
    name, key_hash, key = vkey.split("+", 2)
    raw = base64.b64decode(key)
    assert hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4].hex() == key_hash
    text, signatures = note.split("\n\n")
    text += "\n"
    (line,) = [line for line in signatures.splitlines() if line.startswith(f"— {name} ")]
    signature = base64.b64decode(line.split(" ")[2])
    assert signature[:4].hex() == key_hash
    Ed25519PublicKey.from_public_bytes(raw[1:]).verify(signature[4:], text.encode())
    origin, size, root = text.splitlines()
    return origin, int(size), base64.b64decode(root)


def files_of(directory: Path) -> dict[str, bytes]:
    """The files of a transparency log that stand in a folder, without what a reader does not ask for."""
    found = {
        str(file.relative_to(directory)): file.read_bytes() for file in directory.rglob("tile/**/*") if file.is_file()
    }
    return dict(sorted(found.items()))
