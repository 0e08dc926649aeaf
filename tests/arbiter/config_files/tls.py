"""A config file of Gunicorn's for a server that faces its clients without a proxy: certificate,
key, protocol version and ciphers.
"""

import os
import ssl
from pathlib import Path

certificates = Path(os.environ.get("CERTIFICATES", "/etc/ssl/shop"))

bind = [os.environ.get("BIND", "0.0.0.0:8443")]
workers = 1
worker_class = "asgi"
threads = 4
certfile = str(certificates / "server.pem")
keyfile = str(certificates / "server.key")
ssl_version = ssl.PROTOCOL_TLS_SERVER
cert_reqs = ssl.CERT_NONE
ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20"
do_handshake_on_connect = True
suppress_ragged_eofs = True
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
limit_request_line = 8190
