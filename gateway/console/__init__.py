"""The console and the report: what the audit log shows, as pages.

`charts` draws, `overview`, `story`, `history` and `integrity` gather what pages show, `pages` writes HTML of it,
`archive` keeps the log open, `door` says who may come in, `server` answers.
"""
