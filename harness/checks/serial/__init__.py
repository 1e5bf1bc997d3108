"""Checks that only the serial line to the board allows."""
