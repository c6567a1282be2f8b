"""`gateway run`: stand before the upstreams until told to stop."""

import logging
import os
import sys
from dataclasses import replace
from pathlib import Path

import click

from gateway.engine.worker import Channel, Worker

MOST_WORKERS = 256
"""More is a slip of the finger: one for each core is enough."""

NOT_YOURS = "only a supervisor gives it: use --workers"


class AsWorker(click.ParamType[Worker]):
    """What a supervisor tells a worker."""

    name = "worker"

    def convert(self, value: str | Worker, param: click.Parameter | None, ctx: click.Context | None) -> Worker:
        """Give it; fails as a usage error."""
        if not isinstance(value, str):
            return value
        try:
            return Worker.parse(value)
        except ValueError:
            self.fail(NOT_YOURS, param, ctx)


@click.command()
@click.argument("policy", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--audit",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var/audit"),
    show_default=True,
    help="Folder of the audit log.",
)
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var/state"),
    show_default=True,
    help="Folder where nonces outlive a restart, and where an embedded store lives.",
)
@click.option(
    "--layers", is_flag=True, help="Serve HTTP/1.1 through mitmproxy's layers too, as HTTP/2 is: a third of the speed."
)
@click.option(
    "--addon",
    "addons",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="mitmproxy script that looks at allowed requests and may deny them (docs/addons.md). May be repeated; serves"
    " HTTP/1.1 as --layers does.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    default=1,
    show_default=True,
    help="Processes that serve. With more than one, routes with rate_limit or replay need `state: {store: valkey}`, and"
    " each worker has a folder of its own below --audit and --state.",
)
@click.option("--worker", type=AsWorker(), hidden=True)
def run(
    policy: Path,
    audit: Path,
    state: Path,
    *,
    layers: bool,
    addons: tuple[Path, ...],
    workers: int,
    worker: Worker | None,
) -> None:
    """Enforce POLICY, a file or a folder of files, until SIGTERM or SIGINT. SIGHUP reads it anew.

    Exits with 0 after an orderly stop, with 1 where a worker did not stop in order, and with 2 where the gate cannot
    start.
    """
    if worker is None and workers > 1:
        from gateway.engine.supervisor import supervise  # noqa: PLC0415 - the supervisor does without mitmproxy

        _log_as("supervisor: ")
        sys.exit(supervise(policy, workers, worker_command, state))

    from gateway.engine.notify import ServiceManager  # noqa: PLC0415
    from gateway.engine.service import Settings  # noqa: PLC0415
    from gateway.engine.service import run as run_service  # noqa: PLC0415

    _log_as("" if worker is None else f"worker {worker.number}: ")
    settings = Settings(policy=policy, audit=audit, state=state, shared=state, layers=layers, addons=addons)
    if worker is None:
        settings = replace(settings, ready=ServiceManager(os.environ).attend)
    else:
        settings = replace(settings, audit=worker.folder(audit), state=worker.folder(state))
        settings = replace(settings, worker=worker, ready=_channel(worker).attend)
    sys.exit(run_service(settings))


def worker_command(worker: Worker) -> list[str]:
    """Give the command line of a worker: the one of this process, so that every option reaches it."""
    command, *arguments = sys.argv[1:]
    # -P: no code from the folder it is started in; -X faulthandler: one that is ended because it hangs says where.
    return [sys.executable, "-P", "-X", "faulthandler", "-m", "gateway", command, "--worker", str(worker), *arguments]


def _channel(worker: Worker) -> Channel:
    try:
        return Channel(worker.channel)
    except OSError as error:
        raise click.BadParameter(NOT_YOURS, param_hint="--worker") from error


def _log_as(who: str) -> None:
    form = f"%(asctime)s %(levelname)s {who}%(message)s"
    logging.basicConfig(level=logging.INFO, format=form, stream=sys.stderr)
