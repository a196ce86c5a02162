-- Times are seconds since 1970 UTC. The columns of `jobs` up to `turn` are the fields of core/job.py, in their
-- order. Texts by which rows are found or sorted compare byte by byte, whatever the locale of the database.
CREATE SEQUENCE jobs_seq AS bigint;

CREATE TABLE jobs (
    id text COLLATE "C" NOT NULL,
    queue text COLLATE "C" NOT NULL,
    task text COLLATE "C" NOT NULL,
    signature text COLLATE "C" NOT NULL DEFAULT '',
    args text NOT NULL DEFAULT '[]',
    kwargs text NOT NULL DEFAULT '{}',
    state text COLLATE "C" NOT NULL DEFAULT 'queued' CHECK (
        state IN ('waiting', 'queued', 'running', 'retry', 'completed', 'failed', 'cancelled', 'skipped')
    ),
    priority bigint NOT NULL DEFAULT 0,
    created_at double precision NOT NULL,
    run_at double precision NOT NULL,
    max_attempts bigint NOT NULL DEFAULT 1,
    seq bigint NOT NULL DEFAULT nextval('jobs_seq'),
    version bigint NOT NULL DEFAULT 0,
    attempt bigint NOT NULL DEFAULT 0,
    failures bigint NOT NULL DEFAULT 0,
    crashes bigint NOT NULL DEFAULT 0,
    token text,
    session text COLLATE "C",
    worker text,
    started_at double precision,
    finished_at double precision,
    result text,
    error text,
    progress text,
    cancel text,
    timeout double precision,
    deadline double precision,
    parent text COLLATE "C",
    retry_of text,
    run text COLLATE "C",
    key text COLLATE "C",
    body text,
    unique_key text COLLATE "C",
    holds text COLLATE "C",
    relation text,
    deps_left bigint NOT NULL DEFAULT 0,
    followers bigint NOT NULL DEFAULT 0,
    schedule text COLLATE "C",
    tick double precision,
    crashed_at text,
    turn text,
    -- the store's own: 1 may be claimed, 0 its run_at has not come, 2 it waits for others, null it runs or has ended
    ready smallint DEFAULT 1,
    PRIMARY KEY (seq)
) WITH (
    -- every job is written three times and seldom more: dead rows go soon, or claims wade through them
    fillfactor = 80,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_threshold = 2000,
    autovacuum_analyze_scale_factor = 0.05
);

ALTER SEQUENCE jobs_seq OWNED BY jobs.seq;

-- Every move of a job writes an entry into each index that it is in, so but two are of some states only; each says who
-- needs it.
CREATE UNIQUE INDEX jobs_id ON jobs (id);                                            -- jobs(), every write
CREATE UNIQUE INDEX jobs_key ON jobs (key) WHERE key IS NOT NULL;                    -- the guard of Insert
CREATE UNIQUE INDEX jobs_unique ON jobs (unique_key)                                 -- the guard of Insert
    WHERE unique_key IS NOT NULL AND state IN ('waiting', 'queued', 'running', 'retry');
CREATE UNIQUE INDEX jobs_tick ON jobs (schedule, tick) WHERE tick IS NOT NULL;       -- the guard of Insert
CREATE INDEX jobs_ready ON jobs (queue, task, signature, priority DESC, seq)         -- claim, lanes()
    INCLUDE (state) WHERE ready = 1;
CREATE INDEX jobs_due ON jobs (run_at, seq) WHERE ready = 0;                         -- promote(), next_due()
CREATE INDEX jobs_held ON jobs (queue, task) INCLUDE (state) WHERE ready IN (0, 2);  -- counts()
CREATE INDEX jobs_retry ON jobs (queue, task) WHERE state = 'retry';                 -- coming()
CREATE INDEX jobs_running ON jobs (holds, queue, task) WHERE state = 'running';      -- running(), counters, counts()
CREATE INDEX jobs_deadline ON jobs (deadline, seq)                                   -- overdue()
    WHERE deadline IS NOT NULL AND ready IS NOT NULL;
CREATE INDEX jobs_ended ON jobs (queue, task, seq) INCLUDE (state)                   -- find(queue=, task=), totals()
    WHERE state IN ('completed', 'failed', 'cancelled', 'skipped');
CREATE INDEX jobs_old ON jobs (finished_at)                                          -- prune()
    WHERE state IN ('completed', 'failed', 'cancelled', 'skipped');
CREATE INDEX jobs_bad ON jobs (state, seq) WHERE state IN ('failed', 'cancelled', 'skipped'); -- find(state=)
CREATE INDEX jobs_parent ON jobs (parent, seq) WHERE parent IS NOT NULL;             -- find(parent=)
CREATE INDEX jobs_run ON jobs (run, seq) WHERE run IS NOT NULL;                      -- find(run=)
CREATE INDEX jobs_schedule ON jobs (schedule, seq) WHERE schedule IS NOT NULL;       -- find(schedule=)
CREATE INDEX jobs_live_tick ON jobs (schedule, seq)                                  -- live_of()
    WHERE schedule IS NOT NULL AND state IN ('waiting', 'queued', 'running', 'retry');

CREATE TABLE attempts (
    job bigint NOT NULL, -- jobs.seq
    attempt bigint NOT NULL,
    worker text,
    started_at double precision,
    finished_at double precision,
    "end" text,
    error text,
    PRIMARY KEY (job, attempt)
);

CREATE TABLE logs (
    job bigint NOT NULL, -- jobs.seq
    n bigint NOT NULL,
    attempt bigint NOT NULL,
    at double precision NOT NULL,
    level text NOT NULL,
    text text NOT NULL,
    voice text COLLATE "C" NOT NULL DEFAULT '',
    number bigint NOT NULL DEFAULT 0, -- 0: none
    PRIMARY KEY (job, n)
);

CREATE TABLE edges (
    prerequisite text COLLATE "C" NOT NULL, -- jobs.id
    follower text COLLATE "C" NOT NULL, -- jobs.id
    bad text NOT NULL,
    counted boolean NOT NULL DEFAULT false, -- the prerequisite has completed, and the follower knows
    PRIMARY KEY (prerequisite, follower)
);

CREATE INDEX edges_follower ON edges (follower);                                     -- edges(), the end of a follower

CREATE TABLE sessions (
    id text COLLATE "C" PRIMARY KEY,
    worker_id text NOT NULL,
    name text NOT NULL,
    host text NOT NULL,
    epoch bigint NOT NULL,
    state text NOT NULL,
    started_at double precision NOT NULL,
    expires_at double precision NOT NULL,
    queues text NOT NULL,
    slots bigint NOT NULL,
    embedded text,
    ended_at double precision,
    pid bigint,
    version text NOT NULL,
    offers text NOT NULL, -- JSON list of [queue, task, signature]
    manager text NOT NULL,
    system text NOT NULL,
    units bigint
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0.1);

CREATE TABLE tasks (
    queue text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    signature text COLLATE "C" NOT NULL,
    spec text NOT NULL, -- JSON of core/task.py TaskSpec
    seen_at double precision NOT NULL,
    PRIMARY KEY (queue, name, signature)
);

CREATE TABLE pauses (
    kind text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    by text NOT NULL,
    at double precision NOT NULL,
    PRIMARY KEY (kind, name)
);

CREATE TABLE schedules (
    id text COLLATE "C" PRIMARY KEY,
    document text NOT NULL, -- JSON of core/schedule.py Schedule
    version bigint NOT NULL -- this one counts, whatever the JSON says
);

-- when what others depend on was done last
CREATE TABLE fresh (
    key text COLLATE "C" PRIMARY KEY,
    at double precision NOT NULL,
    until double precision NOT NULL -- when it may be forgotten
);

CREATE INDEX fresh_until ON fresh (until);                                           -- prune()

CREATE TABLE lead (
    one integer PRIMARY KEY CHECK (one = 1),
    holder text NOT NULL,
    term bigint NOT NULL,
    until double precision NOT NULL
);

INSERT INTO lead VALUES (1, '', 0, 0);
