"""Where time comes from."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from gateway.core.message import Instant

_system_time = cast("Callable[[], Instant]", time.time)


@dataclass(frozen=True, slots=True)
class Clock:
    """Where time comes from: replaced in tests."""

    now: Callable[[], Instant] = _system_time
    monotonic: Callable[[], float] = time.monotonic
