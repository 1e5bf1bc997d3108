"""Faults of the mDNS responder."""
