"""Reports on every ordered pair of many devices."""
