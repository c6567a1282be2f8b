"""Reads and runs the cases in `cases/`.

A case is a text of sections, each begun by a line `=== name`: files of a policy, and at last `=== expect`, the exact
problems in order. What stands before the first section says what the case is about. A policy file that a case does
not bring is the one of `base/`; a case that brings `policy.yaml` stands for itself.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from gateway.policy import PolicyInvalid, load
from tests.policy.files import BASE, ENVIRON, NOW

CASES = Path(__file__).parent / "cases"

_SECTION = re.compile(r"^=== (?P<name>\S+)\n", re.MULTILINE)


@dataclass(frozen=True)
class Case:
    about: str
    files: dict[str, str]
    expect: list[str]

    @staticmethod
    def read(path: Path) -> "Case":
        about, *sections = _SECTION.split(path.read_text(encoding="utf-8"))
        files = dict(zip(sections[::2], sections[1::2], strict=True))
        return Case(about, files, files.pop("expect").splitlines())

    def problems(self, world: Path) -> list[str]:
        """What the gate says of the policy, written to the folder `policies` of a world with certificates."""
        policies = world / "policies"
        shutil.rmtree(policies, ignore_errors=True)
        policies.mkdir()
        if "policy.yaml" not in self.files:
            shutil.copytree(BASE, policies, dirs_exist_ok=True)
        for name, text in self.files.items():
            (policies / name).write_text(text, encoding="utf-8")
        try:
            found = load(policies, ENVIRON, now=NOW).warnings
        except PolicyInvalid as invalid:
            found = invalid.problems
        return [str(problem).replace(f"{world}/", "") for problem in found]
