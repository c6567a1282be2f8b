"""The log verified as a stranger would, once the gate has stopped: by its public key and its files alone."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from gateway.audit.tlog.key import read_key
from gateway.audit.verify.check import check
from gateway.audit.verify.notes import Key


def verify(audit: Path, key: Path, console: Console) -> bool:
    """Verify the log and show its checkpoint; tells whether it is whole."""
    public = read_key(key).public
    found = check(audit, [Key.parse(public)])
    checkpoint = audit / "tlog" / "checkpoint"
    console.print("\nthe log's last checkpoint, signed by the gate:", style="dim")
    console.print(checkpoint.read_text() if checkpoint.exists() else "(none)", markup=False, soft_wrap=True)
    command = f"gateway audit verify --directory {audit} --key {public}"
    console.print(command, style="dim", markup=False, soft_wrap=True)
    if found.first is not None or found.size != found.records:
        what = found.first or f"{found.size} of {found.records} records are under a checkpoint"
        console.print(f"[red]the log is not as it was signed: {escape(str(what))}[/]")
        return False
    console.print(f"[green]{found.records} records, each as it was written[/], under {found.signed} checkpoints")
    return True
