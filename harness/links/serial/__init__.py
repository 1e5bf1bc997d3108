"""The serial line: port and protocols."""
