"""Measurements of what T8 costs, against the same crawl without it. Not part of the installed package."""
