"""What keeps a gate from starting, and how it is told; for the supervisor too, so nothing of mitmproxy is needed."""

import sys
from collections.abc import Callable, Mapping

from gateway.core.policy import Policy
from gateway.policy import PolicyInvalid

EXIT_USAGE = 2


class StartError(Exception):
    """The gate cannot start; the message says why and what to do."""

    @classmethod
    def of(cls, error: OSError) -> "StartError":
        """Say what the system, or TLS, could not do, and of which file."""
        return cls(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")


def explained(run: Callable[[], int]) -> int:
    """Run it and give its exit code; where it cannot start, say why on standard error and give EXIT_USAGE."""
    try:
        return run()
    except PolicyInvalid as invalid:
        for problem in invalid.problems:
            print(problem, file=sys.stderr)  # noqa: T201
    except StartError as error:
        print(f"gateway: {error}", file=sys.stderr)  # noqa: T201
    return EXIT_USAGE


def check_environment(environ: Mapping[str, str]) -> None:
    """Raise StartError where the environment would undo the gate's protection."""
    for name in ("SSLKEYLOGFILE", "MITMPROXY_SSLKEYLOGFILE"):
        if environ.get(name):
            raise StartError(f"{name} is set: TLS secrets would be written to a file. Unset it.")


def listeners_of(policy: Policy) -> tuple[str, ...]:
    """Give the policy's listeners as `name address:port`."""
    return tuple(f"{one.name} {one.address}:{one.port}" for one in policy.listeners.values())
