"""What a profile means in the shared vocabulary: terms, quantities, roles of a scene."""
