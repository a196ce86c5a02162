-- Jobs from anybody's SQL, judged as at the other doors (hub/submission.py) and stored in the caller's own transaction;
-- and views for people. Each function keeps the schema that it was made in, whatever the caller's search_path.

-- What is wrong with one argument, or null. Scalars, lists and choices are judged; what is inside objects is judged by
-- the worker, when the job's turn comes.
CREATE FUNCTION argument_fault(place text, value jsonb, rules jsonb, defs jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    shown text := CASE WHEN length(value::text) > 100 THEN left(value::text, 100) || '…' ELSE value::text END;
    kind text;
    number numeric;
    size bigint;
    fault text;
    arm jsonb;
    item record;
BEGIN
    WHILE rules ? '$ref' LOOP
        rules := coalesce(defs -> replace(rules ->> '$ref', '#/$defs/', ''), '{}');
    END LOOP;
    IF jsonb_typeof(rules) <> 'object' THEN
        RETURN NULL;
    END IF;
    IF rules ? 'enum' THEN
        IF NOT EXISTS (
            SELECT FROM jsonb_array_elements(rules -> 'enum') AS e (choice) WHERE choice = argument_fault.value
        ) THEN
            RETURN format('%s: %s is not one of %s', place, shown, rules -> 'enum');
        END IF;
        RETURN NULL;
    END IF;
    IF rules ? 'const' AND rules -> 'const' <> value THEN
        RETURN format('%s: %s is not %s', place, shown, rules -> 'const');
    END IF;
    IF rules ? 'anyOf' THEN
        FOR arm IN SELECT jsonb_array_elements(rules -> 'anyOf') LOOP
            fault := argument_fault(place, value, arm, defs);
            IF fault IS NULL THEN
                RETURN NULL;
            END IF;
        END LOOP;
        RETURN format('%s: %s is of none of the types that the parameter takes', place, shown);
    END IF;
    kind := jsonb_typeof(value);
    IF kind = 'number' THEN
        number := value::text::numeric;
    END IF;
    IF jsonb_typeof(rules -> 'type') = 'string'
        AND rules ->> 'type' <> kind
        AND NOT (rules ->> 'type' = 'integer' AND kind = 'number' AND number = trunc(number))
    THEN
        RETURN format('%s: %s is not of type "%s"', place, shown, rules ->> 'type');
    END IF;
    IF kind = 'number' THEN
        IF number < (rules ->> 'minimum')::numeric OR number > (rules ->> 'maximum')::numeric
            OR number <= (rules ->> 'exclusiveMinimum')::numeric OR number >= (rules ->> 'exclusiveMaximum')::numeric
        THEN
            RETURN format('%s: %s is outside the range that the parameter takes', place, shown);
        END IF;
    ELSIF kind = 'string' THEN
        size := length(value #>> '{}');
        IF size < (rules ->> 'minLength')::bigint OR size > (rules ->> 'maxLength')::bigint THEN
            RETURN format('%s: %s has a length that the parameter does not take', place, shown);
        END IF;
    ELSIF kind = 'array' THEN
        size := jsonb_array_length(value);
        IF size < (rules ->> 'minItems')::bigint OR size > (rules ->> 'maxItems')::bigint THEN
            RETURN format('%s: it has %s items, which the parameter does not take', place, size);
        END IF;
        IF jsonb_typeof(rules -> 'items') = 'object' AND NOT rules ? 'prefixItems' THEN
            FOR item IN SELECT e.value, e.ordinality FROM jsonb_array_elements(value) WITH ORDINALITY AS e LOOP
                fault := argument_fault(format('%s[%s]', place, item.ordinality - 1), item.value, rules -> 'items', defs);
                IF fault IS NOT NULL THEN
                    RETURN fault;
                END IF;
            END LOOP;
        END IF;
    END IF;
    RETURN NULL;
END
$$;

-- All that is wrong with the arguments of one call by name; empty where nothing is.
CREATE FUNCTION argument_faults(given jsonb, task_signature jsonb) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    parameters jsonb := coalesce(task_signature -> 'parameters', '[]');
    defs jsonb := coalesce(task_signature -> 'defs', '{}');
    parameter jsonb;
    names text[] := '{}';
    kind text;
    rules jsonb;
    more jsonb; -- the schema of what `**kwargs` takes
    name text;
    value jsonb;
    faults text[] := '{}';
BEGIN
    FOR parameter IN SELECT jsonb_array_elements(parameters) LOOP
        name := parameter ->> 'name';
        kind := coalesce(parameter ->> 'kind', 'either');
        rules := coalesce(parameter -> 'schema', '{}');
        IF kind = 'kwargs' THEN
            more := rules;
            CONTINUE;
        END IF;
        names := names || name;
        IF kind = 'args' THEN
            rules := jsonb_build_object('type', 'array', 'items', rules);
        ELSIF NOT given ? name AND coalesce((parameter ->> 'required')::boolean, true) THEN
            faults := faults || format('kwargs.%s: missing argument', name);
        END IF;
        IF given ? name THEN
            faults := array_append(faults, argument_fault('kwargs.' || name, given -> name, rules, defs));
        END IF;
    END LOOP;
    FOR name, value IN SELECT e.key, e.value FROM jsonb_each(given) AS e WHERE e.key <> ALL (names) LOOP
        IF more IS NOT NULL THEN
            faults := array_append(faults, argument_fault('kwargs.' || name, value, more, defs));
        ELSE
            faults := faults || format(
                'kwargs.%s: unknown argument; the task has: %s',
                name, coalesce(nullif(array_to_string(names, ', '), ''), 'none')
            );
        END IF;
    END LOOP;
    RETURN array_remove(faults, NULL);
END
$$;

-- How many jobs a call becomes that says "ALL": the product of the choices of such parameters; null where there is none.
CREATE FUNCTION group_size(given jsonb, spec jsonb) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    parameter jsonb;
    rules jsonb;
    size numeric;
BEGIN
    FOR parameter IN
        SELECT p FROM jsonb_array_elements(spec #> '{signature,parameters}') AS e (p)
        WHERE spec #> '{options,write_all}' ? (p ->> 'name')
            AND coalesce(given -> (p ->> 'name'), p -> 'default') = '"ALL"'
    LOOP
        rules := parameter -> 'schema';
        WHILE rules ? '$ref' LOOP
            rules := spec #> ARRAY['signature', 'defs', replace(rules ->> '$ref', '#/$defs/', '')];
        END LOOP;
        size := coalesce(size, 1) * (
            SELECT count(*) FROM jsonb_array_elements(rules -> 'enum') AS e (choice)
            WHERE choice <> '"ALL"' AND (choice <> 'null' OR parameter -> 'default' IS DISTINCT FROM 'null')
        );
    END LOOP;
    RETURN size;
END
$$;

-- Store a job in the transaction under way; its id. Managers hear of it when that commits. A priority of null is the
-- task's own. Whatever is wrong is an error with SQLSTATE 22023, and nothing is stored.
CREATE FUNCTION insert_job_id(type_key text, task_key text, priority bigint DEFAULT NULL, arguments json DEFAULT '{}')
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
        id, queue, task, signature, kwargs, priority, created_at, run_at, max_attempts, timeout, deadline, turn
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
            WHEN members IS NOT NULL THEN 'spread'
            WHEN jsonb_array_length(coalesce(options -> 'needs', '[]')) > 0 THEN 'check'
        END
    );
    -- the same note is delivered once in a transaction, however many jobs that has
    PERFORM pg_notify('easyjobs.' || current_schema(), json_build_object('lanes', json_build_array(
        json_build_array(type_key, task_key, version)
    ))::text);
    RETURN new_id;
END
$$;

CREATE PROCEDURE insert_job(type_key text, task_key text, priority bigint DEFAULT NULL, arguments json DEFAULT '{}')
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    PERFORM insert_job_id(type_key, task_key, priority, arguments);
END
$$;

CREATE VIEW job_list AS
SELECT
    id, queue, task, state, priority, args::json AS args, kwargs::json AS arguments, failures, max_attempts, worker,
    to_timestamp(created_at) AS created_at, to_timestamp(run_at) AS run_at,
    to_timestamp(started_at) AS started_at, to_timestamp(finished_at) AS finished_at,
    result::json AS result, error::json AS error, progress::json AS progress, parent, seq
FROM jobs;

CREATE VIEW running AS
SELECT id, queue, task, priority, args, arguments, worker, started_at, progress, parent, seq
FROM job_list WHERE state = 'running';

CREATE VIEW failed AS
SELECT
    id, queue, task, priority, args, arguments, failures, worker, finished_at, error ->> 'type' AS error_type,
    error ->> 'message' AS error_message, error, parent, seq
FROM job_list WHERE state = 'failed';
