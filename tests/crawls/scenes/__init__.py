"""A Scrapy project whose spiders are scenes: each brings about what makes crash recovery hard."""
