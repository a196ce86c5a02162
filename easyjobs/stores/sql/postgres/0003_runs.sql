-- Runs of workflows: jobs whose nodes are jobs. And jobs that somebody expects to begin in time.
ALTER TABLE jobs ADD COLUMN node text;
ALTER TABLE jobs ADD COLUMN late_at double precision;

CREATE INDEX jobs_runs ON jobs (seq) WHERE turn IN ('expand', 'close');             -- find(runs=True)
CREATE INDEX jobs_holding ON jobs (holds) WHERE state = 'waiting' AND holds IS NOT NULL; -- Charge, counters of a claim
CREATE INDEX jobs_late ON jobs (late_at) WHERE late_at IS NOT NULL;                 -- late()
