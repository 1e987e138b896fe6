"""What the log shows: loggers that hide secrets, and tracebacks that need not be there."""
