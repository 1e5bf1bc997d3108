"""What an attacker on the local network may do."""
