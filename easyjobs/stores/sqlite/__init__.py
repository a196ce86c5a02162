"""The SQLite store: one file, one manager, one writer connection.

`store` is the asynchronous face; `writer` the one connection that writes, with its lock; `segment` turns writes into
few statements, with `links` for what waits for what, `schedules`, `lines` of logs and the `others`; `careful` applies
writes one by one where that fails, `claim` hands out jobs; `reading` are rows by id, `reads` the lists and pages;
`tally` counts jobs in memory; `files` opens, checks and locks; `texts` holds SQL; `failures` maps errors.
"""

from easyjobs.stores.sqlite.store import SQLiteStore

__all__ = ["SQLiteStore"]
