"""Reports on what two profiles can do for each other."""
