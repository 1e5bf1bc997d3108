"""Checks of the device as a CoAP server."""
