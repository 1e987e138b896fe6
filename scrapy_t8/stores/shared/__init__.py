"""The store of the service: a state file that several processes share."""
