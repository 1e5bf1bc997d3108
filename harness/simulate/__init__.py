"""Devices that follow a profile, and the faults they can be given."""
