"""kill -9 and everything like it, at every moment: nothing is lost, nothing comes twice."""
