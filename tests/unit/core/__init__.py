"""Unit tests of the engine of a crawl."""
