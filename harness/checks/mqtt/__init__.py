"""The device as an MQTT client."""
