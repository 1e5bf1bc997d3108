"""The brokers that a device can use: embedded, Mosquitto, external."""
