-- Whoever writes lines may number them: so they can be said again without being kept twice, and removed by number.
ALTER TABLE logs ADD COLUMN voice TEXT NOT NULL DEFAULT '';
ALTER TABLE logs ADD COLUMN number INTEGER NOT NULL DEFAULT 0; -- 0: none
