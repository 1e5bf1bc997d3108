"""The test bench of one device: equipment, drivers, and waiting."""
