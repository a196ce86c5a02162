"""The store in PostgreSQL: any number of managers on the same rows.

address.py   what the URL says               failures.py  the server's errors as the contract's
channel.py   a connection, and transactions  schema.py    the tables, their migrations, the checks of a server
clock.py     the server's time               hints.py     NOTIFY and LISTEN
texts.py     SQL, made once for each shape   segment.py, links.py, lines.py, others.py   writes, gathered
careful.py   units one by one                writer.py    a commit
claim.py     which jobs go to whom           reads.py     rows to structs
store.py     the store around all that
"""

from easyjobs.stores.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
