"""The settings of metrics and traces: who may read the metrics, and where traces go."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from protokeep.core.address_faults import address_fault

#: A shorter token could be found by trying.
TOKEN_SHORTEST = 16


class TelemetrySettings(BaseSettings):
    """Part of `Settings`."""

    #: The token with which a monitoring system reads /metrics. Unset: /metrics is not served beside the API.
    metrics_token: SecretStr | None = None
    #: Where `serve` and `worker` serve health and metrics by themselves; 0 takes a free port. Unset: nowhere.
    metrics_port: Annotated[int | None, Field(ge=0, le=65535)] = None
    metrics_host: str = "127.0.0.1"
    #: Where traces are sent (OTLP over HTTP), such as http://collector:4318/v1/traces. Unset: none are made.
    traces_endpoint: str | None = None
    #: Whether calls to the app builder name their trace (`traceparent`), which tells it what belongs together.
    traces_to_builder: bool = False

    @field_validator("metrics_token")
    @classmethod
    def _cannot_be_tried(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value().strip()) < TOKEN_SHORTEST:
            raise ValueError(f"It needs at least {TOKEN_SHORTEST} characters.")
        return value

    @field_validator("traces_endpoint")
    @classmethod
    def _can_be_called(cls, value: str | None) -> str | None:
        if value is not None and (fault := address_fault(value)):  # The value is left out: it may hold a password.
            raise ValueError(f"This {fault}. Give an address such as http://collector:4318/v1/traces.")
        if value is not None and find_spec("opentelemetry.sdk") is None:
            raise ValueError("It needs OpenTelemetry. Install it with: pip install 'protokeep[otel]'")
        return value
