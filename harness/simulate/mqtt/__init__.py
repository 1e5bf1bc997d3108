"""The simulated MQTT client."""
