"""The store of a crawl: one SQLite file, one owner."""
