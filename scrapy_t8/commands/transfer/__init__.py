"""``export`` and ``import``."""
