"""Reports of predictions for two profiles."""
