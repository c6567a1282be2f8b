"""Why a measurement cannot go on."""


class BenchError(Exception):
    """The message says why, and what to do."""
