"""Faults of the MQTT client."""
