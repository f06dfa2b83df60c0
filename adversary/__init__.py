"""A v0 that protokeep's authors did not write to suit protokeep, and scenarios that break processes in front of it."""
