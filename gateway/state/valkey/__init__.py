"""Counters and claims on Valkey or Redis: one store for several workers and machines."""
