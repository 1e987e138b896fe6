"""``failed ...``: the dead-letter box."""
