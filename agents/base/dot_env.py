"""Where a setting comes from: the environment, or the `.env` of the current folder, which others may have written."""

from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource


def stands_in_dot_env(settings: BaseSettings, name: str) -> bool:
    """Say whether a setting's value comes from `.env`: it stands there, and not in the environment."""
    kind = type(settings)
    return (
        name in settings.model_fields_set
        and name not in EnvSettingsSource(kind)()
        and name in DotEnvSettingsSource(kind)()
    )
