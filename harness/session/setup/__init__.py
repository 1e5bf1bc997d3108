"""From options and bench files to lanes."""
