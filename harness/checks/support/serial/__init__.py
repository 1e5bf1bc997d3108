"""Helpers for checks over the serial line."""
