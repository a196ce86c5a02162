-- To which hello of which process a session was given last: an older one may arrive later.
ALTER TABLE sessions ADD COLUMN life text NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN hellos bigint NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN opened_at double precision NOT NULL DEFAULT 0;
