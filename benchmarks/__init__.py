"""Measurements of the way of a job, beside what the machine itself can do. `make bench` runs them all."""
