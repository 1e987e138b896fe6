"""What Scrapy forgets between two runs: the state of the spider, totals, cookies, learned delays, robots.txt."""
