-- What each commit has for the other processes on this file, while there are any. Old notes go.
CREATE TABLE notes (
    n INTEGER PRIMARY KEY,
    by TEXT NOT NULL,
    note TEXT NOT NULL
) STRICT;
