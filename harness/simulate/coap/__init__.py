"""The simulated CoAP server."""
