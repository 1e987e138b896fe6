"""What Scrapy loads by class path, in packages named by the roles that Scrapy gives."""
