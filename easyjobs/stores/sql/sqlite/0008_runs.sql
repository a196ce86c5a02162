-- Runs of workflows: jobs whose nodes are jobs. And jobs that somebody expects to begin in time.
ALTER TABLE jobs ADD COLUMN node TEXT;
ALTER TABLE jobs ADD COLUMN late_at REAL;

CREATE INDEX jobs_run ON jobs (run) WHERE run IS NOT NULL;                          -- by_run(), find(run=)
CREATE INDEX jobs_runs ON jobs (turn) WHERE turn = 'expand' OR turn = 'close';      -- find(runs=True)
CREATE INDEX jobs_holding ON jobs (holds) WHERE state = 'waiting' AND holds IS NOT NULL; -- Charge, counters of a claim
CREATE INDEX jobs_late ON jobs (late_at) WHERE late_at IS NOT NULL;                 -- late()
