"""As a program: serve a store's sessions on a port of this machine."""

import socket
import sys
from pathlib import Path

from evalkit.rating import Store, rating_app, serve

if __name__ == "__main__":
    database, folder, port = sys.argv[1:]
    app = rating_app(Store(Path(database)), Path(folder))
    serve(app, socket.create_server(("127.0.0.1", int(port))))
