"""Users with an address of their own, servers of canned answers, and a proxy that cuts connections."""

import contextlib
import functools
import http.client
import http.server
import socket
import struct
import threading
import urllib.request
from urllib.parse import urlsplit


class _FromAddress(urllib.request.HTTPHandler):
    def __init__(self, address):
        super().__init__()
        self._connect = functools.partial(http.client.HTTPConnection, source_address=(address, 0))

    def http_open(self, request):
        return self.do_open(self._connect, request)


def open_from(address, *handlers):
    """An opener of urllib's whose connections come from a loopback address."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), _FromAddress(address), *handlers)


@contextlib.contextmanager
def serve_answers(answer):
    """A server whose every answer is what `answer(request)` returns: (status, headers, body).

    None closes the connection instead. request: an http.server handler, its body read as `body`.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def _answer(self):
            self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if answered := answer(self):
                status, headers, body = answered
                self.send_response(status)
                for name, value in {"Content-Length": len(body), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        do_GET = do_POST = do_DELETE = _answer

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class CuttingProxy:
    """Stands before a server and cuts connections, each after some bytes of the answer.

    cuts: a number for each connection in turn; None, and any after the last, are not cut.
    before: what to call before a connection, by its number. heads: what clients sent first.
    """

    def __init__(self, url, address, cuts, abruptly=False, before=None):
        parts = urlsplit(url)
        self._target, self._address = (parts.hostname, parts.port), address
        self._cuts, self._abruptly, self._before = cuts, abruptly, before or {}
        self.heads = []
        self.relayed = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self):
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _accept(self):
        threads = []
        with contextlib.suppress(OSError):  # the listener was shut
            while True:
                near, _ = self._listener.accept()
                threads.append(threading.Thread(target=self._relay, args=(near, len(threads))))
                threads[-1].start()
        for thread in threads:
            thread.join()

    def _relay(self, near, number):
        self._before.get(number, lambda: None)()
        left = self._cuts[number] if number < len(self._cuts) else None
        far = socket.create_connection(self._target, source_address=(self._address, 0))
        sender = threading.Thread(target=self._send_on, args=(near, far))
        sender.start()
        with contextlib.suppress(OSError):
            while left is None or left > 0:
                data = far.recv(65_536 if left is None else left)
                if not data:
                    break
                near.sendall(data)
                self.relayed += len(data)
                left = None if left is None else left - len(data)
            if left == 0:
                far.recv(1)  # the request has arrived, and the answer goes on
        for end, how in ((far, socket.SHUT_RDWR), (near, socket.SHUT_RD)):
            with contextlib.suppress(OSError):
                end.shutdown(how)
        sender.join()
        if self._abruptly and left == 0:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        near.close()
        far.close()

    def _send_on(self, near, far):
        with contextlib.suppress(OSError):
            self.heads.append(near.recv(65_536))
            far.sendall(self.heads[-1])
            while data := near.recv(65_536):
                far.sendall(data)
