-- Process units: what each machine has is what the least generous of its workers was told.
ALTER TABLE sessions ADD COLUMN system TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN units INTEGER;
