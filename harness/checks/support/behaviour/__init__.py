"""Helpers for checks of behaviour, on any transport."""
