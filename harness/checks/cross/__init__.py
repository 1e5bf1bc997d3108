"""The same device over several protocols tells one story."""
