"""Declaring tasks: decorators, what annotations say, the context of a running job, handles of jobs."""
