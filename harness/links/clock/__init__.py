"""The event loop and its clock, real or virtual."""
