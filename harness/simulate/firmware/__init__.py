"""The simulated firmware: properties, actions, events and rules, without any transport."""
