"""Exactly-once feed export."""
