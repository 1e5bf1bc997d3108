"""Whether the values of one device are valid for the other."""
