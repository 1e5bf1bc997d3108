"""Faults of the CoAP server."""
