-- Views for people: times as text (ISO 8601, UTC). The same are in PostgreSQL, with types of its own.
CREATE VIEW job_list AS
SELECT
    id, queue, task, state, priority, args, kwargs AS arguments, failures, max_attempts, worker,
    strftime('%Y-%m-%dT%H:%M:%fZ', created_at, 'unixepoch') AS created_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', run_at, 'unixepoch') AS run_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', started_at, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', finished_at, 'unixepoch') AS finished_at,
    result, error, progress, parent, seq
FROM jobs;

CREATE VIEW running AS
SELECT id, queue, task, priority, args, arguments, worker, started_at, progress, parent, seq
FROM job_list WHERE state = 'running';

CREATE VIEW failed AS
SELECT
    id, queue, task, priority, args, arguments, failures, worker, finished_at,
    json_extract(error, '$.type') AS error_type, json_extract(error, '$.message') AS error_message, error, parent, seq
FROM job_list WHERE state = 'failed';
