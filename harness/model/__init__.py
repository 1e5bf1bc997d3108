"""Profiles, requirements and verdicts as typed, immutable data."""
