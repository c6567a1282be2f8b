"""YAML text made into the core's policy, with every problem told at its place."""

from gateway.policy.compiler import Loaded, load
from gateway.policy.problem import PolicyInvalid, Problem, Severity

__all__ = ["Loaded", "PolicyInvalid", "Problem", "Severity", "load"]
