"""The I/O: MQTT, CoAP, mDNS and the tap; each records what it does into the trace."""
