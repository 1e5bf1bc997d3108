"""The CoAP client."""
