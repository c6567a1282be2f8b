"""The moment at which the demo's tests play."""

from gateway.core.message import Instant

NOW = Instant(1_795_348_800.0)  # 2026-11-22T12:00:00Z
