"""Whether the values of one device are values of the other."""
