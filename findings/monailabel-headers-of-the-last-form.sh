#!/bin/sh
# MONAI Label's client, once it has a token, sends the headers of its last form with every request that follows.
#
# `http_multipart` adds content type and length to the dictionary that it is given, which is the client's own
# `self._headers` as soon as that holds a token. `create_session` then sends a form of another border under the old
# content type and length, and no server can read it; a request without a body announces one. Without a token the
# dictionary is empty and another is made each time, so that nothing is seen.
#
# Seen with monailabel 0.8.5 (Python 3.11):
#   GET /info/ with 'multipart/form-data; boundary=----------lImIt_of_THE_fIle_eW_$' and a length of 146
#
# Exits nonzero where this has changed. Bedside's tests make another client before a session (tests/serve/test_monailabel.py).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q requests==2.32.5 2>&1 | grep -v WARNING || true
"$folder/venv/bin/pip" install -q --no-deps monailabel==0.8.5 2>&1 | grep -v WARNING || true
"$folder/venv/bin/python" -W ignore <<'PYTHON'
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from monailabel.client import MONAILabelClient

seen = []


class Server(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.command != "GET":
            self.rfile.read(int(self.headers["content-length"]))
        seen.append((self.command, self.path, self.headers["content-type"], self.headers["content-length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_PUT = do_GET

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = MONAILabelClient(f"http://127.0.0.1:{server.server_port}")
client.update_auth({"token_type": "Bearer", "access_token": "token"})
client.info()
client.infer("model", "image", {})
client.info()
(_, _, before, _), _, (method, path, kind, length) = seen
print(f"{method} {path} with '{kind}' and a length of {length}")
assert before is None and kind.startswith("multipart/form-data") and int(length) > 0
PYTHON
