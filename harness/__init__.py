"""A test harness for smart-home appliances over MQTT, CoAP and mDNS."""

__version__ = "0.1.0"
