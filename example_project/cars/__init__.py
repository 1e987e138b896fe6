"""A normal Scrapy project: a spider for a car catalogue."""
