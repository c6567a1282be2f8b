from gateway.core.secret import Secret
from gateway.core.stores import EmbeddedSettings, Login, StateSettings, ValkeySettings


def test_without_settings_the_memory_of_the_process_counts() -> None:
    assert StateSettings().store is None


def test_an_embedded_store_confirms_what_is_on_the_disk() -> None:
    assert EmbeddedSettings().every_write


def test_a_password_is_not_shown() -> None:
    settings = ValkeySettings(login=Login("gate", Secret(b"secret-7f3a")))
    assert "7f3a" not in repr(StateSettings(store=settings))
