"""The engine: the mitmproxy side. It moves bytes and keeps time; what is allowed is decided in the core."""
