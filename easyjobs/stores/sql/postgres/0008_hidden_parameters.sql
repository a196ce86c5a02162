-- Parameters that no caller gives are refused from SQL as they are at the other doors.

-- All that is wrong with the arguments of one call by name; empty where nothing is.
CREATE OR REPLACE FUNCTION argument_faults(given jsonb, task_signature jsonb) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    parameters jsonb := coalesce(task_signature -> 'parameters', '[]');
    defs jsonb := coalesce(task_signature -> 'defs', '{}');
    parameter jsonb;
    names text[] := '{}';
    hidden text[] := '{}'; -- what only the run gives that a job is part of
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
        IF coalesce((parameter ->> 'hidden')::boolean, false) THEN
            hidden := hidden || name;
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
        IF name = ANY (hidden) THEN
            faults := faults || format('kwargs.%s: given by the run that a job is part of, not by callers', name);
        ELSIF more IS NOT NULL THEN
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

