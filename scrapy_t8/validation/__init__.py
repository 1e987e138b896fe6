"""Checks what a collector has stored, also against the user's own database."""
