from types import SimpleNamespace
from typing import Any, cast

import pytest
from mitmproxy.proxy.mode_servers import ServerInstance
from mitmproxy.proxy.mode_specs import ProxyMode

from gateway.engine.mode import GatewayMode, GatewayServer, spec_of
from tests import world


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::", "::1"])  # noqa: S104 - nothing is bound
def test_the_mode_names_a_listener_and_where_it_listens(address: str) -> None:
    mode = ProxyMode.parse(spec_of(world.listener(address=address)))
    assert isinstance(mode, GatewayMode)
    assert (mode.data, mode.listen_host(), mode.listen_port()) == ("public", address, 8443)


@pytest.mark.parametrize("spec", ["gateway", "gateway:", "gateway@127.0.0.1:8443"])
def test_a_mode_without_a_listener_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="needs the name of a listener"):
        ProxyMode.parse(spec)


def test_mitmproxy_finds_the_server_by_its_mode() -> None:
    server = ServerInstance.make(spec_of(world.listener()), cast("Any", SimpleNamespace(connections={})))
    assert isinstance(server, GatewayServer)


def test_connections_come_through_the_gates_own_listener_only() -> None:
    server = ServerInstance.make(spec_of(world.listener()), cast("Any", SimpleNamespace(connections={})))
    with pytest.raises(RuntimeError, match="makes its layers itself"):
        server.make_top_layer(cast("Any", None))
