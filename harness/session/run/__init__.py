"""Running the checks of devices, lane by lane."""
