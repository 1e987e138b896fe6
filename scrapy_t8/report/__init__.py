"""The integrity report: collected from the store, written for people and for programs."""
