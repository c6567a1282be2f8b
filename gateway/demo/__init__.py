"""The demo: an upstream that plays the three APIs, an independent client, and a table of what the gate did.

Nothing of the gate is imported to sign, to send or to judge an answer: the client is written as a partner would
write it, and what it saw is held against what the audit log says.
"""
