"""Reads state files without owning them."""
