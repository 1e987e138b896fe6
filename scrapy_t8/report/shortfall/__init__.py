"""What is not there: items that were expected, and requests without a result."""
