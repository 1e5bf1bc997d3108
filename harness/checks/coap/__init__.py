"""The device as a CoAP server."""
