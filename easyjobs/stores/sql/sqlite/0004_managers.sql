-- Several managers on the same rows: what each worker takes, for all of them to see, and who of them leads.
ALTER TABLE sessions ADD COLUMN offers TEXT NOT NULL DEFAULT '[]'; -- JSON list of [queue, task, signature]
ALTER TABLE sessions ADD COLUMN manager TEXT NOT NULL DEFAULT ''; -- id of the manager process that welcomed it last

CREATE TABLE lead (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    holder TEXT NOT NULL,
    term INTEGER NOT NULL,
    until REAL NOT NULL
) STRICT;

INSERT INTO lead VALUES (1, '', 0, 0);
