"""Where counters and nonces live. `store` says what the engine asks of it, `memory` answers in one process."""
