"""Verifies a log by its files alone, as a stranger would.

Nothing here is shared with what writes the log but the format: import-linter holds it to that, so that an error of the
writer's cannot hide behind the same error here. `notes` checks signatures, `tree` hashes, `files` finds what there is,
`records` reads the log's own files, `check` holds all of it together, `proof` makes and checks inclusion proofs.
"""
