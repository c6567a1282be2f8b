from gateway.state.valkey.script import CLOCK, Script, command
from tests.valkey import STILL, Server


def test_a_command_is_an_array_of_bulk_strings() -> None:
    assert command(b"SET", b"k", b"") == b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n"


def test_a_script_is_loaded_under_its_digest(server: Server) -> None:
    for name in ("take", "claim", "open"):
        script = Script.read(name)
        assert server.ask("SCRIPT", "LOAD", script.source) == script.digest
        assert script.load == command(b"SCRIPT", b"LOAD", script.source)
        assert server.ask("SCRIPT", "EXISTS", script.digest) == [1]


def test_a_call_names_its_keys() -> None:
    script = Script("one", b"return 1")
    assert script.call((b"k1", b"k2"), b"a") == command(b"EVALSHA", script.digest, b"2", b"k1", b"k2", b"a")


def test_scripts_go_by_the_clock_of_the_store() -> None:
    assert Script.read("take").source.startswith(CLOCK.encode())
    assert Script.read("take", STILL).source.startswith(STILL.encode())


def test_its_text_is_not_shown() -> None:
    assert "redis.call" not in repr(Script.read("take"))
