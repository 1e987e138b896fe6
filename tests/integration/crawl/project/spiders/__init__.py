"""The spiders, by what they are about."""
