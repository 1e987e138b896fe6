"""One run of a job: opening, commits, end."""
