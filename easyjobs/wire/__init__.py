"""Dialling a manager, and staying connected to it."""
