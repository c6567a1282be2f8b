"""API security gateway for the APIs that move money."""
