"""Helpers for tests: virtual time, a faulty network, and the suite that every store must pass."""
