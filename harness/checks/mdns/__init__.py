"""The device as a multicast DNS responder and DNS-SD service."""
