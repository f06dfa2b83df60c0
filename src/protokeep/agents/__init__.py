"""protokeep for agents. `AgnoV0Agent` needs no agno; `AgnoV0Agent.as_agno()` builds a real agno agent."""
