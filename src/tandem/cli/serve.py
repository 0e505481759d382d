"""The command `tandem serve`: an exported model behind HTTP."""

import socket
from pathlib import Path

import numpy as np
import typer
import uvicorn

from tandem.errors import DataError
from tandem.images.scaling import fastest_scale
from tandem.inference.exported import load_exported
from tandem.inference.serving.server import create_app

_SHUTDOWN_S = 30  # for requests under way


def serve_model(model_path: Path, *, address: str, port: int, threads: int) -> None:
    """Serve until Ctrl-C or SIGTERM, which let requests under way come to their end.

    Raises DataError where the model cannot be read, and where nothing can listen there.
    """
    model = load_exported(model_path, threads=threads)
    scale = fastest_scale()
    scale(np.zeros((2, 2, 3), np.uint8), 1, 1, "bilinear")  # imports torch now, for which the first request would wait
    app = create_app(model, scale=scale)
    listening = _listen(address, port)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=_SHUTDOWN_S)
    typer.echo(f"{model.card.model} is served at http://{address}:{listening.getsockname()[1]}/ ; Ctrl-C ends it")
    uvicorn.Server(config).run(sockets=[listening])


def _listen(address: str, port: int) -> socket.socket:
    try:
        return socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
    except OSError as error:
        raise DataError(
            f"nothing can listen at {address} port {port}: {error.strerror or error}; name another --port or --address"
        ) from None
