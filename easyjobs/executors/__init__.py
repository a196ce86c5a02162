"""Ways to run a job."""
