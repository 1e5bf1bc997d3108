"""The tap: the point between device and broker where packets are recorded, withheld and injected."""
