-- Who is there: each process that may hold jobs has a row, and a session lock of its name on one of its connections,
-- which ends with the process. `server`: the run of the server, by the time of its start, at which it took that lock.
-- Where the server has started anew, or another one was promoted, the lock that is not there says nothing.
CREATE TABLE hubs (id text PRIMARY KEY, server timestamptz NOT NULL, since double precision NOT NULL);
