"""Multicast DNS on the link of the device."""
