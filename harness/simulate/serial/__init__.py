"""The simulated board on its serial line."""
