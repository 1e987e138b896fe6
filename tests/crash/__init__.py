"""Kills and signals at every moment: no item is lost, and none is exported twice."""
