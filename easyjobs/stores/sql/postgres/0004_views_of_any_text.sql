-- A text of JSON as people may read it: the character NUL, which JSON may hold and a text of PostgreSQL may not, as the
-- one that stands for what cannot be shown. Else one such job would fail every query that looks into the rows.
CREATE FUNCTION readable(document text) RETURNS json
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN strpos(document, E'\\u0000') = 0 THEN document
        -- after an even number of backslashes: after an odd one it is the text of that escape, not the character
        ELSE regexp_replace(document, E'(?<!\\\\)((?:\\\\\\\\)*)\\\\u0000', E'\\1\\\\ufffd', 'g')
    END::json
$$;

CREATE OR REPLACE VIEW job_list AS
SELECT
    id, queue, task, state, priority, readable(args) AS args, readable(kwargs) AS arguments, failures, max_attempts,
    worker, to_timestamp(created_at) AS created_at, to_timestamp(run_at) AS run_at,
    to_timestamp(started_at) AS started_at, to_timestamp(finished_at) AS finished_at,
    readable(result) AS result, readable(error) AS error, readable(progress) AS progress, parent, seq
FROM jobs;
