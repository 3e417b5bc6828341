"""`make up`: a Prefect server on this machine and two deployments for each dataset.

Then, in another terminal: `prefect deployment run annotate/toy --watch`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from prefect import serve
from prefect.deployments.runner import RunnerDeployment
from prefect.settings import get_current_settings
from prefect.types.entrypoint import EntrypointType

from flows.annotate import annotate
from flows.release import release
from schemas.errors import FacextError
from schemas.manifest import load_manifest

STARTUP_S = 120.0


def deployments(manifest: Path) -> list[RunnerDeployment]:
    """Gives `annotate/<dataset>` and `release/<dataset>` for each dataset of a manifest.

    A release needs its version: `prefect deployment run release/toy --param version=0.1.0`.
    """
    made = []
    for name, dataset in load_manifest(manifest).datasets.items():
        for flow in (annotate, release):
            deployment = flow.to_deployment(
                name=name,
                description=dataset.title,
                parameters={"dataset": name, "manifest": str(manifest)},
                tags=["facext"],
                entrypoint_type=EntrypointType.MODULE_PATH,
            )
            assert isinstance(deployment, RunnerDeployment)  # noqa: S101 - it is a coroutine only in async
            made.append(deployment)
    return made


def is_healthy(url: str) -> bool:
    """Tells whether a Prefect server answers at an API address."""
    try:
        return httpx.get(f"{url}/health", timeout=2).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def start_server(url: str) -> subprocess.Popen[bytes]:
    """Starts a Prefect server at a loopback address and waits until it answers.

    Raises:
        FacextError: It ended at once or did not answer in time.
    """
    place = urlsplit(url)
    command = [sys.executable, "-m", "prefect", "server", "start"]
    command += ["--host", place.hostname or "127.0.0.1", "--port", str(place.port or 4200)]
    server = subprocess.Popen(  # noqa: S603 - our own words
        command, stdout=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + STARTUP_S
    while not is_healthy(url):
        if server.poll() is not None or time.monotonic() > deadline:
            server.terminate()
            raise FacextError(f"no Prefect server could be started at {url}; is the port taken?")
        time.sleep(0.3)
    return server


def _stop(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _stop_with(server: subprocess.Popen[bytes]) -> None:
    """Ends this process when the server has ended."""
    server.wait()
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Serves every dataset's deployment until interrupted."""
    url = get_current_settings().api.url or "http://127.0.0.1:4200/api"
    os.environ["PREFECT_API_URL"] = url
    manifest = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("data_manifest.yaml")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)  # also where a shell started us with SIGINT ignored
    server = None
    try:
        if not is_healthy(url):
            print(f"starting a Prefect server at {url}", flush=True)
            server = start_server(url)
            threading.Thread(target=_stop_with, args=(server,), daemon=True).start()
        print("serving; in another terminal: .venv/bin/prefect deployment run annotate/toy --watch")
        serve(*deployments(manifest), pause_on_shutdown=False)
    except KeyboardInterrupt:
        print("stopped")
    except FacextError as error:
        sys.exit(f"error: {error}")
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the server's end is ours now
        if server is not None:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
