"""Checks the state of a collector, also against the user's own database."""
