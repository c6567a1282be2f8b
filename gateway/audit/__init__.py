"""The audit log: events become OCSF records, records become lines on disk, lines are read back.

`events` is the contract with the engine, `record`, `request` and `ocsf` translate, `redact` keeps secrets out, `log`
and `segment` write, `reader` reads.
"""
