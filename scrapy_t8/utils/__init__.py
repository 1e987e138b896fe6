"""Small helpers that know nothing of crawls."""
