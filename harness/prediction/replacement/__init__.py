"""Whether one device can replace another."""
