"""An MCP server that takes arguments as models write them: empty ones are left out, numbers are brought into range.

Models send every parameter that a tool has, with "" or null where they have nothing to say, and no schema stops them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import ValidationError

from protokeep.core.fault_words import fault_text

#: Of a parameter's name that no tool has, so many characters are repeated.
NAME_MAX = 50


class LenientServer(MCPServer[Any]):
    """Holds for every tool that is added to it."""

    async def call_tool(self, name: str, arguments: dict[str, Any], context: Any = None) -> Any:
        """Call a tool. Raises `ToolError`, for arguments that cannot be used with a sentence on the first of them."""
        tool = self._tool_manager.get_tool(name)
        if tool is not None:
            _require_known(name, tool.parameters, arguments)
            arguments = usable_arguments(tool.parameters, arguments)
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if not isinstance(error.__cause__, ValidationError):
                raise
            fault = error.__cause__.errors(include_url=False)[0]
            field = ".".join(str(part) for part in fault["loc"])
            raise ToolError(fault_text(field, fault) or f"{field} cannot be used: {fault['msg']}.") from None


def _require_known(tool: str, schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Raises `ToolError` for a parameter that the tool does not have: its answer would be one to another question."""
    known = schema.get("properties", {})
    unknown = next((name for name, value in arguments.items() if name not in known and not _is_empty(value)), None)
    if unknown is not None:
        raise ToolError(f"{tool} has no parameter {unknown[:NAME_MAX]}. It takes {', '.join(known)}.")


def usable_arguments(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments without optional ones that are empty, and with whole numbers within the bounds of the schema."""
    required = schema.get("required", ())
    known = schema.get("properties", {})
    return {
        name: _in_range(value, known.get(name, {}))
        for name, value in arguments.items()
        if name in required or not _is_empty(value)
    }


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and value.strip() in ("", "null"))


def _in_range(value: Any, described: Mapping[str, Any]) -> Any:
    if described.get("type") != "integer" or isinstance(value, bool):
        return value
    try:
        number = int(float(value))
    except (TypeError, ValueError, OverflowError):
        return value
    return max(described.get("minimum", number), min(described.get("maximum", number), number))
