"""Whether a report or a command of one device reaches the other, and in time."""
