"""Records and formats: what passes between the other packages."""
