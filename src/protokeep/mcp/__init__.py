"""protokeep for assistants (Model Context Protocol): over stdio with `protokeep mcp`, over HTTP at `/mcp`.

The tools use `protokeep.client.AsyncProtokeep`, which reaches a server over HTTP, and at `/mcp` the application in the
same process. So both obey the same rules, tokens and roles as the API. The `mcp` library takes most of a second to
import, and is therefore imported when the first assistant connects.
"""
