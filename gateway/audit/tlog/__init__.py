"""The log as a transparency log: what makes C2SP tlog-tiles of its files, beside them in the folder `tlog`.

`lines` reads the log's files, `tree` hashes them, `tiles` writes, `note` and `key` sign, `publisher` puts it together.
What verifies all this is `gateway.audit.verify`, which shares no code with this package.
"""
