"""Reads the state of a job while another process may be writing it."""
