"""Reads the state of a job while somebody else may be writing it."""
