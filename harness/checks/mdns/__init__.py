"""Checks of the device as a multicast DNS responder and DNS-SD service."""
