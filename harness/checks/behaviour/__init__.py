"""What the profile promises, over every transport."""
