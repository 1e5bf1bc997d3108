"""Faults of the device itself, whatever transport it uses."""
