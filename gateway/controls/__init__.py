"""The controls of the chain, one a file and named as in the policy."""
