"""The demo: an upstream that plays the three APIs, an independent client, and a table of what the gate did.

Nothing of the gate is used to sign, to send or to judge a request: the client is written as a partner would write it,
and what it saw is held against the audit log as its lines stand, and against what reached the upstream. The totals
are then the audit's own.
"""
