"""Retries of failed requests."""
