"""protokeep for assistants (Model Context Protocol): over stdio with `protokeep mcp`, over HTTP at `/mcp`.

The tools are written once, against `protokeep.client.AsyncProtokeep`: over HTTP it reaches a server, at `/mcp` the
very application that serves it. Both therefore have the same rules, tokens and roles as everybody else. The official
`mcp` library takes most of a second to import, so nothing here imports it before somebody connects.
"""
