"""MQTT: the client, the brokers, and the tap between device and broker."""
