"""``failed ...``: dead letters of a crawl, failed tasks of a service."""
