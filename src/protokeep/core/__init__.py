"""The pure core: what a prototype is and how it may change. No I/O, no clock, no framework."""
