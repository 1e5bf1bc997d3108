"""Lines, frames and values on a serial line."""
