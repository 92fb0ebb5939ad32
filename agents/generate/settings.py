"""Where the language model is: settings of the workers, never of a spec."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class EndpointSettings(BaseSettings):
    """From the workers' environment or `.env`, and never from a spec: who writes one must not learn the key, nor have
    it sent elsewhere."""

    # A container is given all of them: those that are not set as empty texts.
    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)

    openrouter_api_key: SecretStr | None = None
    gen_model: str | None = None
    gen_base_url: str = Field("https://openrouter.ai/api/v1")
