"""Whole crawls in processes of their own: undisturbed, killed from inside and resumed, on good days and bad."""
