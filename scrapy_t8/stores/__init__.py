"""Stores the state of jobs: what others use of it (``base``), and its implementation in SQLite."""
