"""Whether one device can take the place of another."""
