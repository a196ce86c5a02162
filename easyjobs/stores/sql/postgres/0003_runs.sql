-- Runs of workflows: jobs whose nodes are jobs. And jobs that somebody expects to begin in time.
ALTER TABLE jobs ADD COLUMN node text;
ALTER TABLE jobs ADD COLUMN late_at double precision;

CREATE INDEX jobs_runs ON jobs (seq) WHERE turn IN ('expand', 'close');                 -- find(runs=True)
CREATE INDEX jobs_open_runs ON jobs (seq)                                               -- find(runs=True, state=)
    WHERE turn IN ('expand', 'close') AND state = 'waiting';
CREATE INDEX jobs_holding ON jobs (holds) WHERE holds IS NOT NULL AND state = 'waiting'; -- Charge, counters of a claim
CREATE INDEX jobs_late ON jobs (late_at, seq) WHERE late_at IS NOT NULL AND ready IS NOT NULL; -- late()

-- Store a job in the transaction under way; its id. Managers hear of it when that commits. A priority of null is the
-- task's own; a workflow becomes a run. Whatever is wrong is an error with SQLSTATE 22023, and nothing is stored.
CREATE OR REPLACE FUNCTION insert_job_id(type_key text, task_key text, priority bigint DEFAULT NULL, arguments json DEFAULT '{}')
RETURNS text
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    -- the limits of the other doors, as a manager has them that was told nothing else
    longest CONSTANT integer := 262144;
    deepest CONSTANT integer := 64;
    highest CONSTANT bigint := 1000000;
    largest_group CONSTANT integer := 10000;
    said text := coalesce(arguments, '{}')::text;
    given jsonb;
    spec jsonb;
    options jsonb;
    version text;
    known text;
    faults text[];
    members numeric;
    moment double precision := extract(epoch FROM clock_timestamp());
    random text := gen_random_uuid()::text;
    stamp text := lpad(to_hex(floor(moment * 1000)::bigint), 12, '0');
    -- a UUID of version 7, RFC 9562 section 5.7
    new_id CONSTANT text := left(stamp, 8) || '-' || right(stamp, 4) || '-7' || substr(random, 16);
BEGIN
    SELECT t.spec::jsonb, t.signature INTO spec, version FROM tasks AS t
    WHERE t.queue = type_key AND t.name = task_key ORDER BY t.seen_at DESC LIMIT 1;
    IF NOT FOUND THEN
        SELECT string_agg(DISTINCT t.name, ', ') INTO known FROM tasks AS t WHERE t.queue = type_key;
        IF known IS NOT NULL THEN
            RAISE EXCEPTION 'No task % in queue %; it has: %.', quote_nullable(task_key), quote_nullable(type_key), known
                USING ERRCODE = '22023',
                    HINT = 'A task is known once it was deployed, or a worker that has it has connected.';
        END IF;
        SELECT string_agg(DISTINCT t.queue, ', ') INTO known FROM tasks AS t;
        RAISE EXCEPTION 'No queue %; known queues: %.', quote_nullable(type_key), coalesce(known, 'none yet')
            USING ERRCODE = '22023', HINT = 'A queue is known once it was deployed, or a worker of it has connected.';
    END IF;
    options := coalesce(spec -> 'options', '{}');
    IF coalesce(options -> 'unique', 'false') <> 'false' THEN
        RAISE EXCEPTION 'Task % is unique, and cannot be enqueued from SQL.', quote_literal(task_key)
            USING ERRCODE = '22023', HINT = 'Enqueue it over HTTP or from Python.';
    END IF;
    IF jsonb_array_length(coalesce(options -> 'run_before', '[]')) > 0 THEN
        RAISE EXCEPTION 'Task % has others that run before it, and cannot be enqueued from SQL.', quote_literal(task_key)
            USING ERRCODE = '22023', HINT = 'Enqueue it over HTTP or from Python.';
    END IF;
    IF priority NOT BETWEEN -highest AND highest THEN
        RAISE EXCEPTION 'priority: must be within ±%', highest USING ERRCODE = '22023';
    END IF;

    IF octet_length(said) + 2 > longest THEN
        RAISE EXCEPTION 'The arguments are % bytes; % are allowed.', octet_length(said) + 2, longest
            USING ERRCODE = '22023';
    END IF;
    given := said::jsonb;
    IF jsonb_typeof(given) <> 'object' THEN
        RAISE EXCEPTION 'The arguments do not fit the task. kwargs: must be an object' USING ERRCODE = '22023';
    END IF;
    -- counting brackets is an upper bound that costs little; only what passes it is walked
    IF length(said) - length(translate(said, '[{', '')) > deepest AND jsonb_path_exists(
        given, format('strict $.**{%s to last} ? (@.type() == "object" || @.type() == "array")', deepest)::jsonpath
    ) THEN
        RAISE EXCEPTION 'kwargs is nested too deep; % levels are allowed.', deepest USING ERRCODE = '22023';
    END IF;
    -- jsonb takes numbers that others cannot read
    IF said ~ '[eE][+]?[0-9]{3}|[0-9]{250}' AND jsonb_path_exists(
        given, 'strict $.** ? (@ > 1.7976931348623157e308 || @ < -1.7976931348623157e308)'
    ) THEN
        RAISE EXCEPTION 'kwargs holds a number that is too large' USING ERRCODE = '22023';
    END IF;
    faults := argument_faults(given, spec -> 'signature');
    IF cardinality(faults) > 0 THEN
        RAISE EXCEPTION 'The arguments do not fit the task. %', array_to_string(faults[:20], '; ')
            USING ERRCODE = '22023';
    END IF;
    IF options ? 'write_all' THEN
        members := group_size(given, spec);
        IF members > largest_group THEN
            RAISE EXCEPTION 'The group is too large: together they are % jobs; % are allowed.', members, largest_group
                USING ERRCODE = '22023';
        END IF;
    END IF;

    INSERT INTO jobs (
        id, queue, task, signature, kwargs, priority, created_at, run_at, max_attempts, timeout, deadline, turn, late_at
    ) VALUES (
        new_id,
        type_key,
        task_key,
        version,
        said, -- as it was written: jsonb would write 1e-300 with all its zeros
        coalesce(insert_job_id.priority, (options ->> 'priority')::bigint, 0),
        moment,
        moment,
        coalesce(
            (options ->> 'retries')::bigint + 1,
            CASE options ->> 'retry_policy' WHEN 'retry_always' THEN 0 WHEN 'never' THEN 1 ELSE 2 END
        ),
        (options ->> 'timeout')::double precision,
        moment + (options ->> 'start_deadline')::double precision,
        CASE
            WHEN spec ? 'graph' THEN 'expand'
            WHEN members IS NOT NULL THEN 'spread'
            WHEN jsonb_array_length(coalesce(options -> 'needs', '[]')) > 0 THEN 'check'
        END,
        moment + (options ->> 'sla')::double precision
    );
    -- the same note is delivered once in a transaction, however many jobs that has
    PERFORM pg_notify('easyjobs.' || current_schema(), json_build_object('lanes', json_build_array(
        json_build_array(type_key, task_key, version)
    ))::text);
    RETURN new_id;
END
$$;
