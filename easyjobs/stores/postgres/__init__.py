"""The store in PostgreSQL: any number of managers on the same rows.

address.py   what the URL says               failures.py  the server's errors as the contract's
channel.py   a connection, and transactions  schema.py    the tables, their migrations, the checks of a server
dialling.py  which server is the primary
clock.py     the server's time               hints.py     NOTIFY and LISTEN
texts.py     SQL, made once for each shape   bulk.py      rows of one statement, and what it passed over
segment.py   writes, gathered, with inserts.py, links.py, lines.py, others.py, numbers.py
writer.py    a commit                        careful.py   units one by one
claim.py     which jobs go to whom, with sessions.py, counters.py and systems.py
reading.py, reads.py   rows to structs       load.py      the rows of another store
store.py     the store around all that
"""

from easyjobs.stores.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
