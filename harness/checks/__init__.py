"""The catalogue of checks, one folder for each area."""
