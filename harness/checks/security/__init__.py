"""Checks against attackers on the local network."""
