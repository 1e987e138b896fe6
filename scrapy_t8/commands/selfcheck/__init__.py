"""``demo`` and ``selftest``."""
