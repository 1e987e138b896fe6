"""Items: keys, checks, outcomes, expectations, statistics."""
