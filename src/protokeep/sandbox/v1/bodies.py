"""Request bodies of v0's API v1. Conventions: see `bodies`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, RootModel

from ..bodies import (
    AnsweredQuestions,
    Attachments,
    Closed,
    ConfirmedPermissions,
    ConfirmedSteps,
    Event,
    Key,
    Metadata,
    NotNull,
    OptionalBool,
    OptionalPrivacy,
    OptionalText,
    PlanExitResponse,
    ResponseMode,
    Skills,
    Texts,
    Url,
    Value,
)


class ModelConfiguration(Closed):
    modelId: Annotated[Literal["v0-auto", "v0-mini", "v0-pro", "v0-max", "v0-max-fast"] | None, NotNull] = None
    imageGenerations: OptionalBool = None
    thinking: OptionalBool = None


OptionalModelV1 = Annotated[ModelConfiguration | None, NotNull]


class CreateChat(Closed):
    """v0 API v1, POST /chats."""

    message: str
    attachments: Attachments = None
    system: OptionalText = None
    chatPrivacy: OptionalPrivacy = None
    projectId: OptionalText = None
    modelConfiguration: OptionalModelV1 = None
    responseMode: ResponseMode = None
    designSystemId: str | None = None
    mcpServerIds: Texts = None
    attachedSkillIds: Texts = None
    skills: Skills = None
    metadata: Metadata = None


class SendMessage(Closed):
    """v0 API v1, POST /chats/{chatId}/messages."""

    class Action(Closed):
        type: Literal["fix-with-v0"]

    message: str
    attachments: Attachments = None
    system: OptionalText = None
    modelConfiguration: OptionalModelV1 = None
    responseMode: ResponseMode = None
    mcpServerIds: Texts = None
    attachedSkillIds: Texts = None
    skills: Skills = None
    action: Annotated[Action | None, NotNull] = None


class ResolveTask(Closed):
    """v0 API v1, POST /chats/{chatId}/tasks/resolve."""

    task: Annotated[
        ConfirmedSteps | PlanExitResponse | AnsweredQuestions | ConfirmedPermissions,
        Field(discriminator="type"),
    ]
    responseMode: ResponseMode = None
    modelConfiguration: OptionalModelV1 = None


class _Init(Closed):
    name: OptionalText = None
    chatPrivacy: OptionalPrivacy = None
    projectId: OptionalText = None
    metadata: Metadata = None


class FileByUrl(Closed):
    name: str
    url: str
    locked: OptionalBool = None


class FileByContent(Closed):
    name: str
    content: str
    locked: OptionalBool = None


class InitFiles(_Init):
    type: Literal["files"]
    files: list[FileByUrl | FileByContent]


class InitRepo(_Init):
    class Repo(Closed):
        url: str
        branch: Annotated[Annotated[str, Field(max_length=250)] | None, NotNull] = None

    type: Literal["repo"]
    repo: Repo
    lockAllFiles: OptionalBool = None


class InitRegistry(_Init):
    class Registry(Closed):
        url: str

    type: Literal["registry"]
    registry: Registry
    lockAllFiles: OptionalBool = None


class InitZip(_Init):
    class Zip(Closed):
        url: Url

    type: Literal["zip"]
    zip: Zip
    lockAllFiles: OptionalBool = None


class InitTemplate(_Init):
    type: Literal["template"]
    templateId: str


AnyInit = InitFiles | InitRepo | InitRegistry | InitZip | InitTemplate


class InitChat(RootModel[Annotated[AnyInit, Field(discriminator="type")]]):
    """v0 API v1, POST /chats/init.

    The document joins two closed objects with allOf, which read to the letter no body satisfies; this is
    their union.
    """


class UpdateChat(Closed):
    """v0 API v1, PATCH /chats/{chatId}."""

    name: OptionalText = None
    privacy: OptionalPrivacy = None
    metadata: dict[Key, Value | None] | None = None


class Favorite(Closed):
    """v0 API v1, PUT /chats/{chatId}/favorite."""

    isFavorite: bool


class Variable(Closed):
    key: Annotated[str, Field(max_length=255)]
    value: Annotated[str, Field(max_length=1000)]


class CreateProject(Closed):
    """v0 API v1, POST /projects."""

    name: Annotated[str, Field(max_length=255)]
    description: Annotated[Annotated[str, Field(max_length=1000)] | None, NotNull] = None
    icon: OptionalText = None
    environmentVariables: Annotated[list[Variable] | None, NotNull] = None
    instructions: Annotated[Annotated[str, Field(max_length=2000)] | None, NotNull] = None
    vercelProjectId: OptionalText = None
    privacy: Annotated[Literal["private", "team"] | None, NotNull] = None


class UpdateProject(Closed):
    """v0 API v1, PATCH /projects/{projectId}."""

    name: OptionalText = None
    description: OptionalText = None
    instructions: OptionalText = None
    privacy: Annotated[Literal["private", "team"] | None, NotNull] = None


class Assign(Closed):
    """v0 API v1, POST /projects/{projectId}/assign."""

    chatId: str


class CreateHook(Closed):
    """v0 API v1, POST /hooks."""

    name: str
    events: list[Event]
    chatId: OptionalText = None
    url: Url
