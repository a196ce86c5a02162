-- What must be done about a job before it may be claimed; and when what others depend on was done last.
ALTER TABLE jobs ADD COLUMN turn TEXT;

CREATE INDEX jobs_held ON jobs (queue, task) WHERE ready = 2;                       -- coming()

CREATE TABLE fresh (
    key TEXT PRIMARY KEY,
    at REAL NOT NULL,
    until REAL NOT NULL -- when it may be forgotten
) STRICT, WITHOUT ROWID;

CREATE INDEX fresh_until ON fresh (until);                                          -- prune()
