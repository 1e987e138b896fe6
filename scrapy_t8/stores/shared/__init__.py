"""A state file that several processes share: that of the service."""
