"""What the manager does by the clock: services of one shape, whose `run_once(now)` says when to run again."""
