"""Small helpers that are independent of crawls."""

__version__ = "0.1.0"  # of the package, also where no metadata of a distribution is installed
