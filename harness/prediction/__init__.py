"""Whether devices work together, told from their profiles alone: pure functions, no I/O."""
