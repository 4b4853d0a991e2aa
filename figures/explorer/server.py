"""Serves the explorer on this machine alone."""

from __future__ import annotations

import threading
import webbrowser

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.document import Document
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from bokeh.server.util import bind_sockets
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop

from figures.explorer.page import SEED, Page
from figures.explorer.state import PRESETS
from mechanisms.sweeps.runner import say
from mechanisms.validation import UserError
from toy.simulate import run as simulate

ADDRESS = "127.0.0.1"


def open_page(document: Document) -> None:
    """A new visitor."""
    context = document.session_context
    request = getattr(context, "request", None)
    Page(document, {} if request is None else request.arguments)


def start(port: int) -> tuple[BaseServer, str]:
    """A server that listens on 127.0.0.1 alone and talks to pages of that address alone, and its address; port 0: a free one."""
    try:
        sockets, port = bind_sockets(ADDRESS, port)
    except OSError as problem:
        raise UserError(f"port {port} cannot be used ({problem.strerror}): choose another with --port") from None
    origins = [f"{name}:{port}" for name in (ADDRESS, "localhost")]
    application = BokehTornado({"/": Application(FunctionHandler(open_page))}, extra_websocket_origins=origins)
    http = HTTPServer(application)
    http.add_sockets(sockets)
    server = BaseServer(IOLoop.current(), application, http)
    server.start()
    return server, f"http://{ADDRESS}:{port}/"


def warm_up() -> None:
    """Compiles what the other presets need; other rules compile when they are first chosen."""
    for state in PRESETS.values():
        simulate(state.spec(), SEED)


def serve(port: int, *, open_browser: bool) -> None:
    """Serves until Ctrl-C."""
    server, address = start(port)
    say("compiling the first picture; that of each further rule takes some seconds too, once")
    simulate(PRESETS["a selective feature"].spec(), SEED)
    say(f"the explorer is at {address} (Ctrl-C ends it)")
    threading.Thread(target=warm_up, daemon=True).start()
    if open_browser:
        webbrowser.open(address)
    try:
        server.io_loop.start()
    finally:
        server.stop()
