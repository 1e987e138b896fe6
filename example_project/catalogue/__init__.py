"""A local web site to crawl: a catalogue of about 400 real cars. `python -m catalogue` runs it."""
