"""All requests known and not yet done."""
