"""The engine of one crawl: pages, frontier, retries, items and the job that holds them together."""
