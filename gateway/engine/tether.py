"""A tether: a program that ends in good order once nobody holds the other end any more, however the holders ended.

It is a pipe. The holders keep its one end open and write nothing; the program has the other end, for which it asks the
kernel to send it SIGTERM as soon as there is something to read: the end of the pipe (fcntl(2), F_SETSIG and O_ASYNC).
What asks is a few lines of Python that become the program (exec), so there is no process between the two, and nobody
whose own death would matter. A signal at the parent's death (PR_SET_PDEATHSIG) would come too early where workers
outlive their supervisor and drain.

Only Linux has F_SETSIG: elsewhere the program runs without a tether.
"""

import fcntl
import os
import sys

CAN_BE_TIED = hasattr(fcntl, "F_SETSIG")

_TIE = """
import fcntl, os, select, signal, sys
end = int(sys.argv[1])
fcntl.fcntl(end, fcntl.F_SETOWN, os.getpid())
fcntl.fcntl(end, fcntl.F_SETSIG, signal.SIGTERM)
fcntl.fcntl(end, fcntl.F_SETFL, fcntl.fcntl(end, fcntl.F_GETFL) | os.O_ASYNC)
if select.select([end], [], [], 0)[0]:
    sys.exit("nobody holds the other end any more")
os.execv(sys.argv[2], sys.argv[2:])
"""


class Tether:
    """Both ends of a pipe; neither is inherited unless it is passed on."""

    def __init__(self) -> None:
        """Make the pipe. Raises OSError."""
        self.theirs, self.ours = os.pipe()

    def tied(self, program: str) -> tuple[str, ...]:
        """Give the command that becomes the program, which MUST be given `theirs`; its own arguments follow."""
        if not CAN_BE_TIED:
            return (program,)
        return sys.executable, "-I", "-S", "-c", _TIE, str(self.theirs), program

    def close(self) -> None:
        """Let go of both ends."""
        os.close(self.theirs)
        os.close(self.ours)
