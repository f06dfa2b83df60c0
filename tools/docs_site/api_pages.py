"""The pages of the HTTP API, out of its OpenAPI document: one for each group of operations, one for the answers."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from protokeep.settings import Settings
from protokeep.web.app import create_app
from protokeep.web.reference import Field, Group, Model, Operation, groups_of, models_of

ANSWERS = "answers.md"


def write(target: Path) -> None:
    """Write them into a folder, with an index that lists every operation."""
    schema = create_app(Settings(_env_file=None, database_url="sqlite:////nowhere.db")).openapi()
    groups, models = groups_of(schema), models_of(schema)
    target.mkdir(parents=True, exist_ok=True)
    (target / "index.md").write_text("\n".join(_index(groups)), encoding="utf-8")
    (target / ANSWERS).write_text("\n".join(_answers(models)), encoding="utf-8")
    for group in groups:
        (target / f"{group.tag}.md").write_text("\n".join(_group(group)), encoding="utf-8")


def _index(groups: Sequence[Group]) -> Iterator[str]:
    yield "# HTTP API reference\n"
    yield "This page and those below it are generated from the API's OpenAPI document, which a server has"
    yield "at `/openapi.json`. [The HTTP API](../api.md) says what the words mean; `/docs` of a server shows this"
    yield "reference for the version that runs.\n"
    for group in groups:
        yield f"## {group.tag.capitalize()}\n"
        yield "| operation | for | purpose |\n|---|---|---|"
        for one in group.operations:
            link = f"[`{one.method} {one.path}`]({group.tag}.md#{one.anchor})"
            yield f"| {link} | {one.role or 'all'} | {cell(one.summary)} |"
        yield ""
    yield from ("```{toctree}", ":hidden:", "", *(f"{group.tag}.md" for group in groups), ANSWERS, "```", "")


def _group(group: Group) -> Iterator[str]:
    yield f"# {group.tag.capitalize()}\n"
    yield f"{group.description}\n"
    for operation in group.operations:
        yield from _operation(operation)


def _operation(one: Operation) -> Iterator[str]:
    yield f"({one.anchor})=\n## {one.summary}\n"
    yield f"```text\n{one.method} {one.path}\n```\n"
    if one.description:
        yield f"{one.description}\n"
    yield f"**For**: {one.role or 'everyone; no API token is asked for'}.\n"
    if one.fields:
        yield from ("| field | where | type | meaning |", "|---|---|---|---|")
        for field in one.fields:
            place = f"{field.place}, required" if field.is_required else field.place
            yield f"| `{field.name}` | {place} | {_kind(field)} | {cell(field.description)} |"
        yield ""
    yield f"```sh\n{example_of(one)}\n```\n"
    yield from ("| status | answer |", "|---|---|")
    for answer in one.answers:
        body = _model_link(answer.kind, answer.model) if answer.model else answer.kind or "nothing in the body"
        yield f"| {answer.status} | {f'{cell(answer.description)}: ' if answer.description else ''}{body} |"
    if one.errors:
        yield f"| {', '.join(one.errors)} | a [problem](../api.md#errors) |"
    yield ""


def example_of(one: Operation) -> str:
    """A call with curl. What stands in capitals in the address is yours to replace."""
    path = re.sub(r"\{(\w+)\}", lambda found: found[1].upper(), one.path)
    lines = [f'curl {"" if one.method == "GET" else f"-X {one.method} "}"$PROTOKEEP_URL{path}"']
    if one.role:
        lines.append('-H "Authorization: Bearer $PROTOKEEP_TOKEN"')
    if one.example:
        lines.append("-H 'Content-Type: application/json'")
        lines.append(f"-d {shlex.quote(json.dumps(json.loads(one.example), ensure_ascii=False))}")
    return " \\\n  ".join(lines)


def _answers(models: Sequence[Model]) -> Iterator[str]:
    yield "# Answers\n"
    yield "What the bodies of answers hold, by name.\n"
    for model in models:
        yield f"## {model.name}\n"
        if model.description:
            yield f"{model.description}\n"
        if model.values:
            yield f"One of {', '.join(f'`{value}`' for value in model.values)}.\n"
        if model.fields:
            yield from ("| field | type | meaning |", "|---|---|---|")
            for field in model.fields:
                yield f"| `{field.name}` | {_kind(field)} | {cell(field.description)} |"
            yield ""


def _kind(field: Field) -> str:
    text = cell(field.kind)
    for model in field.models:
        text = _model_link(text, model)
    return text


def _model_link(text: str, model: str) -> str:
    return re.sub(rf"\b{model}\b", f"[{model}]({ANSWERS}#{model.lower()})", text)


def cell(text: str) -> str:
    """A text as a cell of a table takes it."""
    return " ".join(text.split()).replace("|", r"\|")
