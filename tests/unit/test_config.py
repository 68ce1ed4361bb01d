"""Settings come from the environment, whole or not at all."""

from pathlib import Path

import pytest

from exchange.config import Settings, SettingsInvalid, as_environment, load_settings


def test_an_empty_environment_gives_the_defaults() -> None:
    """Nobody has to set anything."""
    assert load_settings({}) == Settings()


def test_variables_become_fields_of_their_type() -> None:
    """Text is converted once, here."""
    given = {"EXCHANGE_PORT": "9000", "EXCHANGE_BATCH_INTERVAL_S": "0.5", "PORT": "1"}
    settings = load_settings(given)
    assert (settings.port, settings.batch_interval_s) == (9000, 0.5)


def test_a_wrong_type_names_the_field() -> None:
    """A typo in a number is a clear error, not a default."""
    with pytest.raises(SettingsInvalid, match=r"\$\.port"):
        load_settings({"EXCHANGE_PORT": "eighty"})


@pytest.mark.parametrize("text", ["-1", "1000", "1.5", "one", ""])
def test_a_shard_is_a_number_of_three_digits(text: str) -> None:
    """Tables and streams are named after it; nothing else is taken for 0."""
    assert load_settings({"EXCHANGE_SHARD": "999"}).shard == 999
    with pytest.raises(SettingsInvalid, match=r"EXCHANGE_\*.*\$\.shard"):
        load_settings({"EXCHANGE_SHARD": text})


def test_a_child_gets_the_same_settings() -> None:
    """`as_environment` and `load_settings` are inverses."""
    settings = Settings(port=1234, oracle_keys="0x01,0x02", seed=99)
    assert load_settings(as_environment(settings)) == settings


def test_the_token_is_read_from_its_file(tmp_path: Path) -> None:
    """A given token wins over the file; none at all is empty."""
    settings = Settings(state_dir=str(tmp_path))
    assert settings.token() == ""
    settings.token_file.write_text("from-file\n")
    assert settings.token() == "from-file"
    assert Settings(state_dir=str(tmp_path), admin_token="given").token() == "given"
