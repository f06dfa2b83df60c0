"""App builders behind one small port. Nothing of a builder's own words leaves its module."""
