"""A job while no crawl runs."""
