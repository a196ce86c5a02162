-- Runs of workflows: jobs whose nodes are jobs. And jobs that somebody expects to begin in time.
ALTER TABLE jobs ADD COLUMN node TEXT;
ALTER TABLE jobs ADD COLUMN late_at REAL;

CREATE INDEX jobs_run ON jobs (run) WHERE run IS NOT NULL;                          -- by_run(), find(run=)
CREATE INDEX jobs_runs ON jobs (seq) WHERE turn = 'expand' OR turn = 'close';       -- find(runs=True)
CREATE INDEX jobs_late ON jobs (late_at) WHERE late_at IS NOT NULL AND ready IS NOT NULL; -- late()

-- Runs that wait for their nodes hold counters as running jobs do. One index for both: a second one whose condition
-- named the state would be looked at in every move of every job.
DROP INDEX jobs_running;
CREATE INDEX jobs_running ON jobs (holds)                  -- running(), find(runs=True, state=waiting), Charge, claims
    WHERE state = 'running'
        OR (state = 'waiting' AND (holds IS NOT NULL OR turn = 'expand' OR turn = 'close'));
