-- Which process a session was given to last, and by which of its hellos: an older one may arrive later.
ALTER TABLE sessions ADD COLUMN life TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN hellos INTEGER NOT NULL DEFAULT 0;
