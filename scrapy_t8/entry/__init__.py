"""What ``python -m scrapy_t8`` does: a demonstration, a self-test, a look at the configuration."""
