"""Request bodies of v0's API v2. Conventions: see `bodies`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ..bodies import (
    AnsweredQuestions,
    Attachments,
    Choice,
    Closed,
    ConfirmedPermissions,
    ConfirmedSteps,
    Event,
    LongKey,
    Metadata,
    NotNull,
    OptionalBool,
    OptionalPrivacy,
    OptionalText,
    Permission,
    PlanExitResponse,
    Text,
    Texts,
    ThreeSkills,
    Url,
    Value,
)

ModelIdV2 = Literal["v0-mini", "v0-pro", "v0-max", "v0-max-fast"]


class ModelConfiguration(Closed):
    """Given at all, it needs both."""

    modelId: ModelIdV2
    imageGenerations: bool


class SendMessage(Closed):
    """v0 API v2, POST /chats/{chatId}/messages and /messages/async."""

    message: Text
    systemPrompt: OptionalText = None
    modelConfiguration: Annotated[ModelConfiguration | None, NotNull] = None
    attachments: Attachments = None
    mcpServerIds: Texts = None
    skills: ThreeSkills = None


class CreateChat(SendMessage):
    """v0 API v2, POST /chats and /chats/async."""

    privacy: OptionalPrivacy = None
    title: OptionalText = None
    metadata: Metadata = None


class BeginFrom(Closed):
    """What both ways to begin a chat without a prompt have."""

    privacy: OptionalPrivacy = None
    title: OptionalText = None
    metadata: Metadata = None


class CreateFromZip(BeginFrom):
    """v0 API v2, POST /chats/from-zip."""

    url: Url


class CreateFromFiles(BeginFrom):
    """v0 API v2, POST /chats/from-files."""

    class File(Closed):
        name: Text
        content: str

    files: Annotated[list[File], Field(min_length=1, max_length=20)]


class UpdateChat(Closed):
    """v0 API v2, PATCH /chats/{chatId}. Keys may be longer than at creation, as the document has it."""

    title: OptionalText = None
    privacy: OptionalPrivacy = None
    metadata: dict[LongKey, Value | None] | None = None


class ConfirmedStepsV2(ConfirmedSteps):
    connectedIntegrationNames: Annotated[
        Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=100)] | None, NotNull
    ] = None


class AnsweredQuestionsV2(AnsweredQuestions):
    answers: Annotated[list[Choice], Field(min_length=1)]


class ConfirmedPermissionsV2(ConfirmedPermissions):
    permissions: Annotated[list[Permission], Field(min_length=1)]


class ConnectSetup(Closed):
    type: Literal["vercel-connect-setup"]


class ResolveModelV2(Closed):
    modelId: Annotated[ModelIdV2 | None, NotNull] = None
    imageGenerations: OptionalBool = None


class ResolveTask(Closed):
    """v0 API v2, POST /chats/{chatId}/messages/resolve and /resolve/async."""

    task: Annotated[
        ConfirmedStepsV2 | PlanExitResponse | AnsweredQuestionsV2 | ConfirmedPermissionsV2 | ConnectSetup,
        Field(discriminator="type"),
    ]
    modelConfiguration: Annotated[ResolveModelV2 | None, NotNull] = None


class CreateHook(Closed):
    """v0 API v2, POST /hooks. The document requires `chatId`, which may be null."""

    name: str
    events: list[Event]
    url: Url
    chatId: str | None
