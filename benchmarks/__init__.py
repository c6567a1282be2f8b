"""The gate side by side with its peers: one workload, one core each, in turn. `python -m benchmarks` runs it."""
