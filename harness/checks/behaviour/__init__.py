"""Checks of what the profile promises, on every transport."""
