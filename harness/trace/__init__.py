"""The trace: timed events, their encodings, reading and writing."""
