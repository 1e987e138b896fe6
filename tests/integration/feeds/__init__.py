"""Feeds are what plain Scrapy would have written, whatever stopped the crawl."""
