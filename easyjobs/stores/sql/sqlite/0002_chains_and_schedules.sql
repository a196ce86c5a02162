-- Chains: what waits for what. Schedules: recurring rules; a tick is the job that carries its nominal time.
ALTER TABLE jobs ADD COLUMN relation TEXT;
ALTER TABLE jobs ADD COLUMN deps_left INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN followers INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN schedule TEXT;
ALTER TABLE jobs ADD COLUMN tick REAL;
ALTER TABLE jobs ADD COLUMN crashed_at TEXT;

CREATE UNIQUE INDEX jobs_tick ON jobs (schedule, tick) WHERE tick IS NOT NULL;      -- the guard of Insert
CREATE INDEX jobs_schedule ON jobs (schedule) WHERE schedule IS NOT NULL;           -- find(schedule=)
CREATE INDEX jobs_live_tick ON jobs (schedule)                                      -- live_of()
    WHERE schedule IS NOT NULL
        AND (state = 'queued' OR state = 'running' OR state = 'retry' OR state = 'waiting');

CREATE TABLE edges (
    prerequisite TEXT NOT NULL, -- jobs.id
    follower TEXT NOT NULL, -- jobs.id
    bad TEXT NOT NULL,
    counted INTEGER NOT NULL DEFAULT 0, -- 1: the prerequisite has completed, and the follower knows
    PRIMARY KEY (prerequisite, follower)
) STRICT, WITHOUT ROWID;

CREATE INDEX edges_follower ON edges (follower);                                   -- edges(), the end of a follower

CREATE TABLE schedules (
    id TEXT PRIMARY KEY,
    row TEXT NOT NULL, -- JSON of core/schedule.py Schedule
    version INTEGER NOT NULL -- this one counts, whatever the JSON says
) STRICT, WITHOUT ROWID;
