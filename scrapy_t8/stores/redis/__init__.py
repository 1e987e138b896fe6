"""The shared frontier of many workers, in Redis."""
