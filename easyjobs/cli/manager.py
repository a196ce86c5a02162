"""`easyjobs manager`: a manager as a process of its own."""

from __future__ import annotations

import contextlib
import ipaddress
import signal

import click

from easyjobs.cli.collector import spare_the_collector
from easyjobs.cli.secret import read_secret, secret_option
from easyjobs.errors import ConfigurationError

OPEN_CONNECTIONS = 5
"""Seconds that requests under way get when the process is told to stop; the manager's own grace comes after it."""


@click.command("manager", short_help="Run a manager.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8220, show_default=True, type=click.IntRange(0, 65_535), help="0: any free one.")
@click.option(
    "--store", metavar="URL", help="Where jobs are kept: sqlite:///jobs.db, postgresql://… (or EASYJOBS_STORE)."
)
@click.option("--prefix", metavar="PATH", help="Where all routes live: /jobs.")
@click.option("--open-docs", is_flag=True, default=None, help="Let everybody read /docs.")
@click.option(
    "--stop-grace",
    default=20.0,
    show_default=True,
    envvar="EASYJOBS_STOP_GRACE",
    help="Seconds to stop in, beside 5 for open requests.",
)
@click.option(
    "--log-level", default="info", show_default=True, type=click.Choice(["debug", "info", "warning", "error"])
)
@secret_option
def command(
    host: str,
    port: int,
    store: str | None,
    prefix: str | None,
    open_docs: bool | None,
    stop_grace: float,
    log_level: str,
    secret_file: str | None,
) -> None:
    """Run a manager, until SIGTERM or Ctrl-C.

    All else is set by EASYJOBS_… variables. Without a secret one is made and printed, and only this machine may
    connect; on an address that others reach it does not start.
    """
    serve(host, port, store, prefix, open_docs, stop_grace, log_level, secret_file)


def serve(
    host: str,
    port: int,
    store: str | None,
    prefix: str | None,
    open_docs: bool | None,
    stop_grace: float,
    log_level: str,
    secret_file: str | None,
    scheduler: bool | None = None,
) -> None:
    """Run a manager as the command does; with `scheduler=False` another process fires the schedules."""
    import uvicorn

    from easyjobs.manager import EasyJobsManager
    from easyjobs.manager.hosting import application

    manager = EasyJobsManager(
        read_secret(secret_file),
        store=store,
        prefix=prefix,
        open_docs=open_docs,
        stop_grace=stop_grace,
        scheduler=scheduler,
    )
    if manager.settings.server_secret is None and not _is_this_machine(host):
        raise ConfigurationError(
            f"--host {host} lets other machines in, and there is no secret: set EASYJOBS_SECRET or give --secret-file"
        )
    server = uvicorn.Server(
        uvicorn.Config(
            application(manager.lifespan),
            host=host,
            port=port,
            log_level=log_level,
            access_log=log_level == "debug",
            ws_per_message_deflate=False,
            ws_ping_interval=None,  # both sides have heartbeats of their own
            timeout_graceful_shutdown=OPEN_CONNECTIONS,
        )
    )
    # uvicorn raises the signal that stopped it once more at its end: to be told to stop is no failure
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    spare_the_collector()
    with contextlib.suppress(SystemExit):  # with which uvicorn ends where it could not start, by codes of its own
        server.run()
    if not server.started:
        raise SystemExit(1)


def _is_this_machine(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
