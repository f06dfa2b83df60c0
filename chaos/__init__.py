"""protokeep under kills, cut connections, restarts of its database, and lost answers; real processes, real HTTP."""
