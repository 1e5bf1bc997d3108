"""What goes wrong between the harness and a network."""


class LinkError(Exception):
    """A link cannot be opened, or cannot send; the message says what, where, and what to do."""
