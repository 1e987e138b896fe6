"""``report``, ``verify`` and ``heal``."""
