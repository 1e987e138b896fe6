"""Small helpers that are independent of crawls."""
