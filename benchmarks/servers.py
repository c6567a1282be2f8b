"""The servers that are measured, and the upstream behind them: how each is started, and when it cannot take part."""

import os
import shutil
import sys
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from benchmarks import messages, policies
from benchmarks.errors import BenchError
from benchmarks.lab import HERE, Lab
from benchmarks.packages import Packages, lua_libraries, nginx, nginx_module
from benchmarks.policies import UPSTREAM_PORT
from benchmarks.processes import Command, output, running
from benchmarks.workloads import Workload
from gateway.core.barred import Thing
from gateway.core.message import Instant
from gateway.state.revocations import Entry, add

ROOT = str(HERE.parent)

_LUA = ("ndk_http_module.so", "ngx_http_lua_module.so")

INTROSPECTED = (
    '{"active":true,"iss":"https://idp.lab","aud":"wallet","sub":"partner-1","scope":"wallet:debit","iat":1700000000,'
    '"exp":4100000000}'
)
"""Of the upstream where it is the issuer too."""

ANSWER = '{"status":"ok","balance":"100.00"}'


class Server(ABC):
    """One of the contestants."""

    name: ClassVar[str]
    title: ClassVar[str]
    port: ClassVar[int]

    @abstractmethod
    def missing(self) -> str | None:
        """Say what this machine lacks to run it; None where it lacks nothing."""

    def excused(self, workload: Workload) -> str | None:
        """Say why it cannot do what the workload asks for; None where it can."""
        del workload
        return None

    @abstractmethod
    def version(self) -> str:
        """Give its version. Raises BenchError."""

    @abstractmethod
    def command(self, lab: Lab, workload: Workload) -> Command:
        """Give the command that runs it in the foreground, with its files written."""


class NginxLua(Server):
    """nginx, with the checks in Lua."""

    name = "nginx-lua"
    title = "nginx + Lua"
    port = 9443

    def missing(self) -> str | None:
        """Say whether the Lua module and its libraries are here."""
        if any(nginx_module(module) is None for module in _LUA) or lua_libraries() is None:
            return "nginx's Lua module is not installed (Debian: libnginx-mod-http-lua, lua-resty-core, lua-cjson)"
        return None

    def version(self) -> str:
        """Give nginx's version."""
        return output(Command([nginx(), "-v"]), merged=True).strip().removeprefix("nginx version: ")

    def command(self, lab: Lab, workload: Workload) -> Command:
        """Run nginx as one process with one worker."""
        values = {
            "MODULES": _load_modules(*_LUA),
            "LUA_LIBRARIES": str(lua_libraries()),
            "USER": _worker_user(),
            "HTTP2": "http2" if workload.http2 else "",
        }
        return _nginx(lab, lab.fill(HERE / "peers" / "nginx-lua.conf", values), _checks(lab, workload))


@dataclass(frozen=True, slots=True)
class Envoy(Server):
    """Envoy, with all of the checks that it has filters for."""

    packages: Packages

    name = "envoy"
    title = "Envoy"
    port = 9444

    def missing(self) -> str | None:
        """Say whether its package is here."""
        return self.packages.missing_python

    def excused(self, workload: Workload) -> str | None:
        """Leave it out where a bad signature is to be refused."""
        return None if workload.good_signature else "has no filter for HMAC signatures, so it would let them through"

    def version(self) -> str:
        """Give Envoy's own version."""
        return output(Command([self.packages.envoy(), "--version"])).split("version:")[-1].strip().split("/")[1]

    def command(self, lab: Lab, workload: Workload) -> Command:
        """Run it with one worker thread."""
        del workload
        file = lab.fill(HERE / "peers" / "envoy.yaml", {})
        arguments = (self.packages.envoy(), "-c", file, "--concurrency", "1", "--log-level", "error")
        return Command([*arguments, "--disable-hot-restart"])


class Mitmdump(Server):
    """mitmdump as it comes, in reverse mode, with the checks in one script."""

    name = "mitmdump"
    title = "stock mitmdump"
    port = 9445

    def missing(self) -> str | None:
        """Say whether it stands beside this interpreter."""
        return None if _beside("mitmdump").exists() else f"{_beside('mitmdump')} does not exist: run `make setup`"

    def version(self) -> str:
        """Give mitmproxy's version."""
        return output(Command([_beside("mitmdump"), "--version"])).splitlines()[0].partition(":")[2].strip()

    def command(self, lab: Lab, workload: Workload) -> Command:
        """Run it quietly."""
        arguments = (
            _beside("mitmdump"), "--quiet", "--mode", f"reverse:http://127.0.0.1:{UPSTREAM_PORT}@{self.port}",
            "--certs", f"*={lab.folder / 'server-full.pem'}", "--set", "request_client_cert=true",
            "--set", f"confdir={lab.folder / 'mitmproxy'}", "--set", "flow_detail=0",
            "--scripts", HERE / "peers" / "mitmdump_checks.py",
        )  # fmt: skip
        return Command(arguments, _checks(lab, workload))


class Gate(Server):
    """The gate, as `gateway run` runs it."""

    name = "gate"
    title = "gate"
    port = 9446

    def missing(self) -> str | None:
        """Say whether it stands beside this interpreter."""
        return None if _beside("gateway").exists() else f"{_beside('gateway')} does not exist: run `make setup`"

    def version(self) -> str:
        """Give the version of the package; the commit says more."""
        return output(Command([_beside("gateway"), "--version"])).split()[-1]

    def policy(self, lab: Lab, workload: Workload) -> Path:
        """Give the policy it is to enforce."""
        if workload.tokens is not None:
            return policies.with_tokens(lab.folder, workload.tokens)
        if workload.algorithm is not None:
            return policies.with_messages(lab.folder, workload.algorithm, messages.KEYS.public(workload.algorithm))
        return policies.REFERENCE if workload.checks_replay else policies.without_replay(lab.folder)

    def prepare(self, state: Path) -> None:
        """Write what the folder of its state is to hold before it starts."""

    def command(self, lab: Lab, workload: Workload) -> Command:
        """Run it with a log and a state that know nothing of earlier workloads."""
        kept = lab.folder / self.name
        shutil.rmtree(kept, ignore_errors=True)
        self.prepare(kept / "state")
        arguments = (_beside("gateway"), "run", self.policy(lab, workload))
        folders = ("--audit", kept / "audit", "--state", kept / "state")
        return Command([*arguments, *folders], _checks(lab, workload))


class LargeGate(Gate):
    """The gate with a policy as large as they get."""

    name = "gate-10000"
    title = "gate, 10,000 partners"
    port = 9447

    def policy(self, lab: Lab, workload: Workload) -> Path:
        """Give a policy with 10,000 partners."""
        del workload
        return policies.with_partners(lab.folder, self.port)


class DurableGate(Gate):
    """The gate that waits for the disk."""

    name = "gate-fsync"
    title = "gate, fsync"
    port = 9448

    def policy(self, lab: Lab, workload: Workload) -> Path:
        """Give a policy that has each allow on the disk before it is forwarded."""
        del workload
        return policies.durable(lab.folder, self.port)


class UnauditedGate(Gate):
    """The gate without its log, which only these benchmarks can do."""

    name = "gate-unaudited"
    title = "gate, nothing recorded"
    port = 9453

    def policy(self, lab: Lab, workload: Workload) -> Path:
        """Give the reference on another port."""
        del workload
        return policies.on_port(lab.folder, self.name, self.port)

    def command(self, lab: Lab, workload: Workload) -> Command:
        """Run it by the module that silences the log."""
        audited = super().command(lab, workload)
        _, *rest = audited.arguments
        return Command([sys.executable, "-m", "benchmarks.unaudited", *rest], {**audited.environ, "PYTHONPATH": ROOT})


class RevokingGate(Gate):
    """The gate that looks client certificates up in a long revocation list."""

    name = "gate-revocation"
    title = "gate, revocation"
    port = 9449

    def policy(self, lab: Lab, workload: Workload) -> Path:
        """Give a policy with the lab's revocation list."""
        del workload
        return policies.revoking(lab.folder, self.port)


class BarringGate(Gate):
    """The gate after an incident: a long list of what was revoked."""

    name = "gate-barred"
    title = "gate, 100,000 revocations"
    port = 9450

    def policy(self, lab: Lab, workload: Workload) -> Path:
        """Give the reference on another port."""
        del workload
        return policies.on_port(lab.folder, self.name, self.port)

    def prepare(self, state: Path) -> None:
        """Revoke 100,000 tokens, none of which comes."""
        entry = Entry(0, "revoke", Thing.TOKEN, "", Instant(0.0), None, "benchmarks", "measured")
        add(state, [replace(entry, value=f"idp/revoked-{number}") for number in range(100_000)])


class StoreGate(Gate):
    """The gate with its state on a Valkey that it runs."""

    name = "gate-valkey"
    title = "gate, embedded Valkey"
    port = 9451

    def policy(self, lab: Lab, workload: Workload) -> Path:
        """Give the reference with a store."""
        del workload
        return policies.with_store(lab.folder, self.port)


class WorkersGate(StoreGate):
    """The same by two workers."""

    name = "gate-workers"
    title = "gate, two workers, embedded Valkey"
    port = 9452

    def command(self, lab: Lab, workload: Workload) -> Command:
        """Run two of them."""
        alone = super().command(lab, workload)
        return Command([*alone.arguments, "--workers", "2"], alone.environ)


def servers(packages: Packages) -> dict[str, Server]:
    """Give all of them by name."""
    gates = (
        Gate(),
        LargeGate(),
        UnauditedGate(),
        DurableGate(),
        RevokingGate(),
        BarringGate(),
        StoreGate(),
        WorkersGate(),
    )
    return {each.name: each for each in (*gates, NginxLua(), Envoy(packages), Mitmdump())}


def absence(server: Server, workload: Workload) -> str | None:
    """Say why the server is not measured with a workload; None where it is."""
    return server.excused(workload) or server.missing()


def upstream(lab: Lab, workload: Workload, core: int) -> AbstractContextManager[int]:
    """Run the upstream meanwhile. Raises BenchError."""
    modules, answer = "", f"return 200 '{INTROSPECTED if workload.tokens == 'introspection' else ANSWER}';"
    if workload.waits_for_body:
        if any(nginx_module(module) is None for module in _LUA):
            raise BenchError("the upstream needs nginx's Lua module to read bodies (Debian: libnginx-mod-http-lua)")
        modules = _load_modules(*_LUA)
        answer = f"content_by_lua_block {{ ngx.req.read_body() ngx.print('{ANSWER}') }}"
    file = lab.fill(HERE / "peers" / "upstream.conf", {"MODULES": modules, "USER": _worker_user(), "ANSWER": answer})
    return running(_nginx(lab, file, {}).on(core), lab.folder / "upstream.out", UPSTREAM_PORT)


def _nginx(lab: Lab, file: Path, environ: dict[str, str]) -> Command:
    return Command([nginx(), "-e", lab.folder / f"{file.stem}.err", "-c", file], environ)


def _load_modules(*names: str) -> str:
    return "\n".join(f"load_module {nginx_module(name)};" for name in names)


def _worker_user() -> str:
    """Have root's nginx keep its worker root: another user could not read a lab or a repository that is root's own."""
    return "user root;" if os.geteuid() == 0 else ""


def _checks(lab: Lab, workload: Workload) -> dict[str, str]:
    return {**lab.environ, "REPLAY": "yes" if workload.checks_replay else "no"}


def _beside(program: str) -> Path:
    """Give a program of this interpreter's environment."""
    found = shutil.which(program, path=str(Path(sys.executable).parent))
    return Path(found) if found else Path(sys.executable).parent / program
