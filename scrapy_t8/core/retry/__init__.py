"""What becomes of a failed request."""
