"""The core decides: facts in, a decision out. No sockets, clocks, files or mitmproxy (import-linter holds it to that).

Read `exchange` first: the way of a request is one straight line there.
"""
