"""Running simulated devices until stopped."""
