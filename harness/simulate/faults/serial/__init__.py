"""Faults of the board and its serial line."""
