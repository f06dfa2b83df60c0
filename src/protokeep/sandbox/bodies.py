"""Request bodies that v0's API v1 and v2 share. Like its documents, they allow no extra field.

An optional field may be left out, but may be null only if its document says so.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


def _refuse_null(value: Any) -> Any:
    if value is None:
        raise ValueError("must not be null")
    return value


def _absolute(value: str) -> str:
    parts = urlsplit(value)
    if not parts.scheme or not (parts.netloc or parts.path):
        raise ValueError("must be an absolute URL")
    return value


NotNull = BeforeValidator(_refuse_null)
Url = Annotated[str, AfterValidator(_absolute)]
Text = Annotated[str, Field(min_length=1)]
OptionalText = Annotated[str | None, NotNull]
OptionalBool = Annotated[bool | None, NotNull]
Privacy = Literal["public", "private", "team", "team-edit", "unlisted"]
OptionalPrivacy = Annotated[Privacy | None, NotNull]
Key = Annotated[str, Field(min_length=1, max_length=40)]
LongKey = Annotated[str, Field(min_length=1, max_length=50)]
Value = Annotated[str, Field(max_length=500)]
Metadata = Annotated[dict[Key, Value] | None, NotNull]
Event = Literal[
    "chat.created",
    "chat.updated",
    "chat.deleted",
    "message.created",
    "message.updated",
    "message.deleted",
    "message.finished",
]
ResponseMode = Annotated[Literal["sync", "async", "experimental_stream"] | None, NotNull]


class Closed(BaseModel):
    """An object with `additionalProperties: false`."""

    model_config = ConfigDict(extra="forbid")


class Attachment(Closed):
    url: str


Attachments = Annotated[list[Attachment] | None, NotNull]
Texts = Annotated[list[str] | None, NotNull]


class RemoteSkill(Closed):
    type: Literal["remote"]
    id: str


class MemorySkill(Closed):
    type: Literal["memory"]
    scope: Literal["user", "team"]
    skillName: str


class ProjectSkill(Closed):
    type: Literal["project"]
    skillName: str


Skill = Annotated[RemoteSkill | MemorySkill | ProjectSkill, Field(discriminator="type")]
Skills = Annotated[list[Skill] | None, NotNull]
ThreeSkills = Annotated[Annotated[list[Skill], Field(max_length=3)] | None, NotNull]


class ConfirmedSteps(Closed):
    type: Literal["confirmed-steps"]
    connectedIntegrationNames: Annotated[list[Annotated[str, Field(max_length=64)]] | None, NotNull] = None
    connectedMcpPresetNames: Annotated[
        list[
            Literal[
                "Linear", "Notion", "Context7", "Sentry", "Zapier", "Glean",
                "Hex", "Sanity", "Granola", "PostHog", "Contentful", "Slack",
            ]
        ]
        | None,
        NotNull,
    ] = None  # fmt: skip
    appliedScripts: Annotated[list[Text] | None, NotNull] = None
    addedEnvVars: Annotated[list[Text] | None, NotNull] = None


class PlanExitResponse(Closed):
    type: Literal["plan-exit-response"]
    status: Literal["approved", "rejected", "request-changes"]
    content: Text


class Choice(Closed):
    questionId: Text
    questionText: Text
    selectedLabels: list[Text]
    customText: Annotated[Text | None, NotNull] = None


class AnsweredQuestions(Closed):
    type: Literal["answered-questions"]
    answers: list[Choice]


class Permission(Closed):
    type: Literal["ALLOW_DYNAMIC_TOOL_STRICT"]
    toolName: Text
    input: Any
    taskNameActive: Text | None = None
    taskNameComplete: Text | None = None
    userMessage: Annotated[Text | None, NotNull] = None


class ConfirmedPermissions(Closed):
    type: Literal["confirmed-permissions"]
    permissions: list[Permission]
    userMessage: Annotated[Text | None, NotNull] = None


class UpdateHook(Closed):
    """v0 API v1 and v2, PATCH /hooks/{hookId}."""

    name: OptionalText = None
    events: Annotated[list[Event] | None, NotNull] = None
    url: Annotated[Url | None, NotNull] = None
