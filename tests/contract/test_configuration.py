"""Profiles, names of settings, and which source wins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scrapy.settings import Settings

from scrapy_t8 import get_config
from scrapy_t8.config.settings import Config, effective, from_dict
from scrapy_t8.errors import ConfigError

PROFILES = {
    "development": (3, 60, False, "DEBUG"),
    "testing": (2, 120, True, "INFO"),
    "production": (10, 15, True, "WARNING"),
}
ALSO: dict[str, Any] = {
    "enable_auto_retry": True,
    "enable_integrity_check": True,
    "resume_point_ttl": 604800,
    "failed_task_ttl": 2592000,
    "max_resume_points": 100,
    "max_failed_tasks": 1000,
    "batch_update_size": 100,
    "update_interval": 60,
    "enable_compression": True,
    "alert_thresholds": {"failed_task_ratio": 0.1, "retry_success_rate": 0.8, "data_integrity_score": 0.95},
    "state_dir": "data/state",
}


def profile(config: Config) -> tuple[int, float, bool, str]:
    return config.max_workers, config.retry_check_interval, config.enable_metrics, config.log_level


@pytest.mark.parametrize("env", PROFILES)
def test_profiles(env: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert profile(get_config(env)) == PROFILES[env]
    assert profile(from_dict({"env": env})) == PROFILES[env]
    assert profile(Config.from_settings(Settings({"T8_ENV": env}))) == PROFILES[env]
    monkeypatch.setenv("T8_ENV", env)
    assert profile(get_config()) == PROFILES[env]


def test_other_settings_of_a_profile() -> None:
    config = get_config("testing")
    assert {name: getattr(config, name) for name in ALSO} == ALSO


TEXTS = {
    "enable_auto_retry": "no",
    "enable_integrity_check": "0",
    "enable_compression": "false",
    "state_dir": "other",
    "alert_thresholds": '{"failed_task_ratio": 0.5}',
    "enable_metrics": "yes",
    "log_level": "ERROR",
}


@pytest.mark.parametrize("name", [*ALSO, "max_workers", "retry_check_interval", "enable_metrics", "log_level"])
def test_each_setting_means_the_same_from_every_source(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = TEXTS.get(name, "7")
    by_setting = Config.from_settings(Settings({f"T8_{name.upper()}": text}))
    Path(".env").write_text(f"T8_{name.upper()}='{text}'\n")
    by_file = get_config()
    Path(".env").unlink()
    monkeypatch.setenv(f"T8_{name.upper()}", text)
    by_environment = get_config()
    monkeypatch.delenv(f"T8_{name.upper()}")
    assert by_setting == by_file == by_environment != get_config()
    assert from_dict({name: getattr(by_setting, name)}) == by_setting


def test_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    name, workers = "T8_MAX_WORKERS", "max_workers"
    settings: dict[str, Any] = {}

    def now() -> tuple[int, str]:
        found = effective(Settings(settings))
        return found.config.max_workers, found.origins[workers]

    assert now() == (3, "the default")
    monkeypatch.setenv("T8_ENV", "production")
    assert now() == (10, "the profile production")
    Path(".env").write_text(f"T8_ENV=testing\n{name}=20\n")
    assert now() == (20, f"the file {Path('.env').absolute()}")
    monkeypatch.setenv(name, "30")
    assert now() == (30, "the environment")
    settings[name] = 40
    assert now() == (40, "the Scrapy settings")
    assert effective({}).config.env == "production"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("T8_MAX_WORKER=3", "there is no setting T8_MAX_WORKER: did you mean T8_MAX_WORKERS?"),
        ("T8_MAX_WORKERS=many", "T8_MAX_WORKERS is 'many', but must be a whole number"),
        ("T8_MAX_WORKERS=0", "T8_MAX_WORKERS is 0, but must be a whole number of at least 1"),
        ("T8_ENV=staging", "T8_ENV is 'staging', but must be one of development, testing, production"),
        ("T8_LOG_LEVEL=LOUD", "T8_LOG_LEVEL is 'LOUD', but must be one of DEBUG"),
        ("T8_ALERT_THRESHOLDS=[1]", "T8_ALERT_THRESHOLDS is '[1]', but must be a dict"),
        ("T8_STATE_DIR", "T8_STATE_DIR is None, but must be text"),
        ("T8_ENABLE_METRICS=perhaps", "T8_ENABLE_METRICS is 'perhaps', but must be true or false"),
    ],
)
def test_an_invalid_value_is_named_with_its_origin(line: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, has_value, value = line.partition("=")
    if has_value:
        monkeypatch.setenv(name, value)
        with pytest.raises(ConfigError) as caught:
            get_config()
        assert str(caught.value).startswith(message)
        assert str(caught.value).endswith("(from the environment)")
        monkeypatch.delenv(name)
    Path(".env").write_text(line)
    with pytest.raises(ConfigError) as caught:
        get_config()
    assert str(caught.value).endswith(f"(from the file {Path('.env').absolute()})")
    Path(".env").unlink()
    with pytest.raises(ConfigError) as caught:
        Config.from_settings(Settings({name: value if has_value else None}))
    assert str(caught.value).startswith(message)
    assert str(caught.value).endswith("(from the Scrapy settings)")


def test_an_unknown_key_or_environment_in_code_is_named() -> None:
    with pytest.raises(ConfigError, match="no setting max_workerz: did you mean max_workers"):
        from_dict({"max_workerz": 3})
    with pytest.raises(ConfigError, match="T8_ENV is 'staging'"):
        get_config("staging")


def test_a_bad_value_is_named_even_if_another_source_overrides_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T8_MAX_WORKERS", "many")
    with pytest.raises(ConfigError, match=r"T8_MAX_WORKERS is 'many', .* \(from the environment\)"):
        from_dict({"max_workers": 3})


def test_an_env_file_that_cannot_be_read_is_an_error() -> None:
    Path(".env").write_bytes(b"T8_MAX_WORKERS=3\n\xff\xfe\n")
    with pytest.raises(ConfigError, match=r"the file .*\.env cannot be read: .*Correct the file, or remove it"):
        get_config()


def test_foreign_lines_and_a_directory_named_env_are_ignored() -> None:
    Path(".env").write_text("DATABASE_URL=postgres://x\n")
    assert get_config() == Config()
    Path(".env").unlink()
    Path(".env").mkdir()
    assert get_config() == Config()


def test_it_is_frozen() -> None:
    with pytest.raises(AttributeError):
        get_config().max_workers = 3  # type: ignore[misc]
