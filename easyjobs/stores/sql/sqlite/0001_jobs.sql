-- Times are seconds since 1970 UTC. The columns of `jobs` up to `holds` are the fields of core/job.py, in their order.
PRAGMA application_id = 0x656a6f62;

CREATE TABLE jobs (
    id TEXT NOT NULL,
    queue TEXT NOT NULL,
    task TEXT NOT NULL,
    signature TEXT NOT NULL,
    args TEXT NOT NULL,
    kwargs TEXT NOT NULL,
    state TEXT NOT NULL CHECK ( -- the commonest first, and no IN, which makes every row half a microsecond dearer
        state = 'queued' OR state = 'running' OR state = 'completed' OR state = 'failed'
        OR state = 'retry' OR state = 'waiting' OR state = 'cancelled' OR state = 'skipped'
    ),
    priority INTEGER NOT NULL,
    created_at REAL NOT NULL,
    run_at REAL NOT NULL,
    max_attempts INTEGER NOT NULL,
    seq INTEGER PRIMARY KEY,
    version INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    token TEXT,
    session TEXT,
    worker TEXT,
    started_at REAL,
    finished_at REAL,
    result TEXT,
    error TEXT,
    progress TEXT,
    cancel TEXT,
    timeout REAL,
    deadline REAL,
    parent TEXT,
    retry_of TEXT,
    run TEXT,
    key TEXT,
    body TEXT,
    unique_key TEXT,
    holds TEXT,
    -- the store's own: 1 may be claimed, 0 its run_at has not come, 2 it waits for others, null it runs or has ended
    ready INTEGER
) STRICT;

-- An index costs every job half a microsecond or more, so each says who needs it. Conditions name columns that the hot
-- moves (queued, running, completed) leave alone wherever that is possible: then those moves do not touch the index.
CREATE UNIQUE INDEX jobs_id ON jobs (id);                                          -- jobs(), every write by id
CREATE UNIQUE INDEX jobs_key ON jobs (key) WHERE key IS NOT NULL;                  -- the guard of Insert
CREATE UNIQUE INDEX jobs_unique ON jobs (unique_key)                               -- the guard of Insert
    WHERE unique_key IS NOT NULL
        AND (state = 'queued' OR state = 'running' OR state = 'retry' OR state = 'waiting');
CREATE INDEX jobs_ready ON jobs (queue, task, signature, priority DESC, seq)       -- claim, lanes()
    WHERE ready = 1;
CREATE INDEX jobs_due ON jobs (run_at) WHERE ready = 0;                            -- promote(), next_due()
CREATE INDEX jobs_running ON jobs (holds) WHERE state = 'running';                 -- running(), counters of a claim
CREATE INDEX jobs_uncommon ON jobs (state)                                         -- find(state=...)
    WHERE state = 'waiting' OR state = 'retry' OR state = 'failed' OR state = 'cancelled' OR state = 'skipped';
CREATE INDEX jobs_deadline ON jobs (deadline)                                      -- overdue()
    WHERE deadline IS NOT NULL AND ready IS NOT NULL;
CREATE INDEX jobs_task ON jobs (queue, task);                                      -- find(queue=, task=)
CREATE INDEX jobs_parent ON jobs (parent) WHERE parent IS NOT NULL;                -- find(parent=)

CREATE TABLE attempts (
    job INTEGER NOT NULL, -- jobs.seq
    attempt INTEGER NOT NULL,
    worker TEXT,
    started_at REAL,
    finished_at REAL,
    "end" TEXT,
    error TEXT,
    PRIMARY KEY (job, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE logs (
    job INTEGER NOT NULL, -- jobs.seq
    n INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    at REAL NOT NULL,
    level TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (job, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    worker_id TEXT NOT NULL,
    name TEXT NOT NULL,
    host TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    state TEXT NOT NULL,
    started_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    queues TEXT NOT NULL,
    slots INTEGER NOT NULL,
    embedded TEXT,
    ended_at REAL,
    pid INTEGER,
    version TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_live ON sessions (id, epoch) WHERE state = 'live';

CREATE TABLE tasks (
    queue TEXT NOT NULL,
    name TEXT NOT NULL,
    signature TEXT NOT NULL,
    spec TEXT NOT NULL, -- JSON of core/task.py TaskSpec
    seen_at REAL NOT NULL,
    PRIMARY KEY (queue, name, signature)
) STRICT, WITHOUT ROWID;

CREATE TABLE pauses (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    by TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

-- one row: numbers that must outlive the rows they came from
CREATE TABLE marks (
    highest_removed INTEGER NOT NULL -- no job gets a seq that a removed one had
) STRICT;

INSERT INTO marks VALUES (0);
