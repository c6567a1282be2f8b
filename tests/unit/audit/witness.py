"""A small witness (C2SP tlog-witness): signs checkpoints that go on from the last one it saw, over HTTP."""

import base64
import hashlib
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.unit.audit.spec import open_checkpoint

TIME = 1_795_352_400


def goes_on(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Verify a consistency proof (RFC 9162, section 2.1.4.2)."""
    if old == new:
        return not proof and old_root == new_root
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = hashlib.sha256(b"\x01" + c + fr).digest(), hashlib.sha256(b"\x01" + c + sr).digest()
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = hashlib.sha256(b"\x01" + sr + c).digest()
        fn, sn = fn >> 1, sn >> 1
    return fr == old_root and sr == new_root and sn == 0


class Witness:
    """What it has seen of one log, and how it answers."""

    def __init__(self, vkey: str, name: str = "witness.example/w1") -> None:
        self.vkey = vkey
        self.name = name
        self.key = Ed25519PrivateKey.generate()
        raw = b"\x04" + self.key.public_key().public_bytes_raw()
        self.id = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
        self.public = f"{name}+{self.id.hex()}+{base64.b64encode(raw).decode()}"
        self.size, self.root = 0, b""
        self.url = ""
        self.answer: tuple[int, str] | None = None
        """Given in place of its own answer."""
        self.paths: list[str] = []

    def add_checkpoint(self, body: str) -> tuple[int, str]:
        head, _, note = body.partition("\n\n")
        first, *proof = head.split("\n")
        old = int(first.removeprefix("old "))
        _, size, root = open_checkpoint(note, self.vkey)
        if old > size:
            return 400, "the old size is beyond the new one\n"
        if old != self.size:
            return 409, f"{self.size}\n"
        if old and not goes_on(old, size, self.root, root, [base64.b64decode(line) for line in proof]):
            return 422, "the proof does not verify\n"
        assert old or not proof
        self.size, self.root = size, root
        return 200, self.cosignature(note)

    def cosignature(self, note: str) -> str:
        text = note.partition("\n\n")[0] + "\n"
        signature = self.key.sign(f"cosignature/v1\ntime {TIME}\n{text}".encode())
        encoded = base64.b64encode(self.id + TIME.to_bytes(8, "big") + signature).decode()
        return f"— {self.name} {encoded}\n"


@contextmanager
def serving(witness: Witness, tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[Witness]:
    """Serve it, over TLS where a context is given."""

    class Server(HTTPServer):
        def handle_error(self, *_: object) -> None:  # a client that does not trust us, or that left
            pass

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            witness.paths.append(self.path)
            status, text = witness.answer or witness.add_checkpoint(body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with Server(("127.0.0.1", port), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        witness.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}/w1"
        try:
            yield witness
        finally:
            server.shutdown()
            thread.join()
