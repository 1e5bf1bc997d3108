"""Helpers for checks of behaviour, over whichever transport."""
