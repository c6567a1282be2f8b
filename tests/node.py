"""Node, and packages from npm that sign: installed once a run, in a folder that all its processes share."""

import asyncio
import fcntl
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.mint import PrivateKey

FILES = ("package.json", "package-lock.json", "sign.mjs")
SOURCE = Path(__file__).parent / "npm"
INSTALL = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")


@dataclass(frozen=True)
class Packages:
    """A folder with the packages of tests/npm/package.json."""

    folder: Path

    def run(self, *jobs: dict[str, Any]) -> list[Any]:
        """Have a process do the jobs of sign.mjs, and give their results; fail where one failed."""
        done = subprocess.run(self._command(), input=json.dumps(jobs), capture_output=True, text=True, check=False)
        return _results(done.stdout, done.stderr)

    async def run_beside(self, *jobs: dict[str, Any]) -> list[Any]:
        """Do the same while a gate runs in this process."""
        process = await asyncio.create_subprocess_exec(*self._command(), stdin=-1, stdout=-1, stderr=-1)
        out, error = await process.communicate(json.dumps(jobs).encode())
        return _results(out.decode(), error.decode())

    def _command(self) -> tuple[str, str]:
        return program("node"), str(self.folder / "sign.mjs")


def _results(out: str, error: str) -> list[Any]:
    assert out, error
    results = json.loads(out)
    assert [each["error"] for each in results if "error" in each] == []
    return [each.get("result") for each in results]


def packages(folder: Path) -> Packages:
    """Install the packages in a folder, unless another process of this run has."""
    folder.mkdir(exist_ok=True)
    done = folder / "installed"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            for name in FILES:
                shutil.copy(SOURCE / name, folder / name)
            made = subprocess.run([program("npm"), *INSTALL], cwd=folder, capture_output=True, text=True, check=False)
            assert made.returncode == 0, f"npm ci of tests/npm/package-lock.json failed:\n{made.stderr}"
            done.touch()
    return Packages(folder)


def program(name: str) -> str:
    """Give the path of node, npm or jq, which apt-get installs where one is missing."""
    if (found := shutil.which(name)) is None:
        sudo = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "nodejs", "npm", "jq"]):
            subprocess.run([*sudo, "apt-get", *command], check=True, env=environ, capture_output=True)
        found = shutil.which(name)
    assert found, f"there is no {name}, and apt-get installed none; the tests need Node 20 or newer with npm"
    return found


def pem(key: PrivateKey) -> str:
    """Give a private key's PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
