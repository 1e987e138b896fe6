"""The failed tasks of the service, and their retries."""
