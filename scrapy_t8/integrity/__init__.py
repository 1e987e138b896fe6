"""Is it all there? What items are, what is expected, what is missing, and what is said of it."""
