"""The server of the page: this machine alone, one process.

It listens on 127.0.0.1. A page of somebody else's that the same browser has open must not use it:
a request whose Host is another name (a name that was made to point to 127.0.0.1) is refused, a
websocket must come from the page itself (Bokeh checks its Origin), and what another site embeds is
refused by the browser's Sec-Fetch headers. Following a link is allowed, as a state is sent so.
"""

from __future__ import annotations

import asyncio
import webbrowser
from functools import partial
from typing import Any

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.document import Document
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from bokeh.server.util import bind_sockets
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.web import ErrorHandler, RequestHandler

from statmech_bn.errors import StatmechError
from statmech_bn.explore.page import Page
from statmech_bn.explore.state import from_address
from statmech_bn.explore.worker import Worker

ADDRESS = "127.0.0.1"
LARGEST_MESSAGE = 2**20
"""The browser sends at most so many bytes at a time."""
FILES = {"explorer.nc": "netcdf", "explorer.zarr.zip": "zarr", "explorer.pdf": "pdf"}
"""Names of downloads, and the tasks that make them."""


class _Guarded(BokehTornado):
    """The application of the page, for this machine's own pages alone."""

    def __init__(self, *arguments: Any, hosts: set[str], **options: Any) -> None:
        self.hosts = hosts
        super().__init__(*arguments, **options)

    def find_handler(self, request: Any, **options: Any) -> Any:
        """Choose who answers; a stranger is told that it is forbidden."""
        if request.host not in self.hosts or _embedded(request.headers):
            return self.get_handler_delegate(request, ErrorHandler, {"status_code": 403})
        return super().find_handler(request, **options)


def _embedded(headers: Any) -> bool:
    """Return whether another site asks, other than by a link that somebody follows."""
    follows = headers.get("Sec-Fetch-Mode") == "navigate"
    follows = follows and headers.get("Sec-Fetch-Dest") == "document"
    return headers.get("Sec-Fetch-Site") in ("cross-site", "same-site") and not follows


class _Download(RequestHandler):
    """A file of the state that the address holds."""

    def initialize(self, worker: Worker) -> None:
        self.worker = worker

    async def get(self, name: str) -> None:
        """Answer with the file, or say what is wrong with the address."""
        state, complaints = from_address(self.request.arguments)
        try:
            if complaints:
                raise ValueError("\n".join(complaints))
            content = await self.worker.ask(FILES[name], state)
        except (StatmechError, ValueError) as error:
            self.set_status(400)
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.finish(str(error))
            return
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Content-Disposition", f'attachment; filename="{name}"')
        self.finish(content)


def server(port: int, worker: Worker) -> tuple[BaseServer, int]:
    """Make a server of the page, in the running event loop.

    Parameters
    ----------
    port : int
        0 for one that is free.
    worker : Worker

    Returns
    -------
    server : bokeh.server.server.BaseServer
    port : int
    """
    sockets, port = bind_sockets(ADDRESS, port)
    hosts = {f"{ADDRESS}:{port}", f"localhost:{port}"}
    application = Application(FunctionHandler(partial(_open, worker)))
    names = "|".join(name.replace(".", r"\.") for name in FILES)
    tornado = _Guarded(
        {"/": application}, hosts=hosts, extra_websocket_origins=sorted(hosts),
        extra_patterns=[(rf"/download/({names})", _Download, {"worker": worker})],
        websocket_max_message_size_bytes=LARGEST_MESSAGE,
    )  # fmt: skip
    http = HTTPServer(tornado)
    http.add_sockets(sockets)
    return BaseServer(IOLoop.current(), tornado, http), port


def serve(port: int, browser: bool) -> None:
    """Serve the page until it is interrupted."""

    async def main() -> None:
        worker = Worker()
        running, chosen = server(port, worker)
        running.start()
        address = f"http://{ADDRESS}:{chosen}/"
        print(f"The explorer is at {address} (end it with Ctrl-C).", flush=True)
        if browser:
            webbrowser.open(address)
        try:
            await asyncio.Event().wait()
        finally:
            running.stop()

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("The explorer has ended.")


def _open(worker: Worker, document: Document) -> None:
    Page(document, worker)
