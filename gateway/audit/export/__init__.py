"""The log for others: its records in other formats, and sent on as they are written.

`formats` knows the formats (`ecs`, `cef`, `table`), `follow` reads on from a saved position, `syslog` and `sinks` carry
records away, `forward` does both and hides neither lag nor loss (`notices`).
"""
