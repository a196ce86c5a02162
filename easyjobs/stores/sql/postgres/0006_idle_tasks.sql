-- Tasks that nobody needs any more are forgotten after a while.
ALTER TABLE tasks ADD COLUMN idle_since double precision; -- when that was found; null: somebody needed it, or registered it since
