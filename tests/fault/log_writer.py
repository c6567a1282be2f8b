"""A process that writes and publishes logs until it is killed, for `test_log_crashes`.

It imports once, and forks a writer for each line it is told: the folder. The writer tells each sequence that was
acknowledged, 8 bytes each, through the pipe whose number is the first argument.
"""

import os
import sys
import threading
from pathlib import Path

from gateway.audit.log import AuditLog
from gateway.audit.tlog.note import Signer
from gateway.audit.tlog.publisher import Publisher, checkpoint_of
from tests.unit.audit.examples import NOW
from tests.unit.audit.published import events

SEGMENT = 120_000
"""Bytes of a file of the log: so that files change often."""


def write(directory: Path, signer: Signer, acknowledged: int) -> None:
    checkpoint = checkpoint_of(directory, signer)
    log = AuditLog(directory, max_bytes=SEGMENT, published=0 if checkpoint is None else checkpoint.size)
    publisher = Publisher(directory, signer)

    def publish() -> None:
        while True:
            log.sync()
            publisher.publish(log.synced, NOW)

    threading.Thread(target=publish, daemon=True).start()
    number = (log.sequence + 1) // 2 * 2 + 1  # behind a request that was cut in half
    while True:
        group = events(8, number)
        number += 8
        if log.append_all(group) != [None] * len(group):
            os._exit(3)
        os.write(acknowledged, log.sequence.to_bytes(8, "big"))


def main() -> None:
    acknowledged, signer = int(sys.argv[1]), Signer.parse(sys.argv[2])
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                write(Path(line.rstrip("\n")), signer, acknowledged)
            finally:
                os._exit(4)
        print(child, flush=True)  # noqa: T201
        _, status = os.waitpid(child, 0)
        print(status, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
