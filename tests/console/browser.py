"""A real Chromium: the system's, installed where it is missing."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def chromium() -> str:
    """Give the path of a Chromium."""
    if found := _found():
        return found
    with (Path(tempfile.gettempdir()) / "gateway-tests-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        return _found() or _installed()


def _installed() -> str:
    sudo = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "chromium"]):
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run([*sudo, "apt-get", *command], check=True, env=environ, capture_output=True)
    found = _found()
    assert found, "there is no Chromium, and apt-get installed none"
    return found


def _found() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)
