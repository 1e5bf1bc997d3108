"""Whether reports and commands of one device reach the other one in time."""
