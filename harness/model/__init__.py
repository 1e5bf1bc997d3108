"""What a device promises and how it is judged: typed, immutable data."""
