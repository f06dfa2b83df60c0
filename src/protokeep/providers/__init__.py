"""App builders behind one small port. The terms of an app builder's API stay in its own modules."""
