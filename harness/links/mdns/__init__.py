"""Multicast DNS on the device's link."""
