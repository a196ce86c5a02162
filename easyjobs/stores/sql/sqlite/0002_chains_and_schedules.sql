-- Chains: what waits for what. Schedules: recurring rules; a tick is the job that carries its nominal time.
ALTER TABLE jobs ADD COLUMN relation TEXT;
ALTER TABLE jobs ADD COLUMN deps_left INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN followers INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN schedule TEXT;
ALTER TABLE jobs ADD COLUMN tick REAL;
ALTER TABLE jobs ADD COLUMN crashed_at TEXT;

CREATE UNIQUE INDEX jobs_tick ON jobs (schedule, tick) WHERE schedule IS NOT NULL; -- the guard of Insert; find(schedule=)

CREATE TABLE edges (
    prerequisite TEXT NOT NULL, -- jobs.id
    follower TEXT NOT NULL, -- jobs.id
    bad TEXT NOT NULL,
    counted INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (prerequisite, follower)
) STRICT, WITHOUT ROWID;

CREATE INDEX edges_follower ON edges (follower);                                   -- edges(), prune()

CREATE TABLE schedules (
    id TEXT PRIMARY KEY,
    row TEXT NOT NULL, -- JSON of core/schedule.py Schedule
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
