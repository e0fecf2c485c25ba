"""nginx and wrk, plain and with TLS."""

import grp
import math
import os
import pwd
import re
import time
import urllib.request

from . import process
from .peer import Peer, sample
from .process import Failed
from .work import BODY, LARGE

CONFIGURATION = """
daemon off;
user {user} {group};
worker_processes 1;
worker_rlimit_nofile 20000;
pid {home}/nginx.pid;
error_log {home}/error.log crit;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=16 inactive=1h;
    open_file_cache_valid 1h;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    default_type application/json;
    server {{
        listen 127.0.0.1:{control};
        location = /status {{ stub_status; }}
    }}
    server {{
        listen 127.0.0.1:{port}{tls};
        {certificate}
        location = /body {{ return 200 '{body}'; }}
        location = /large {{ alias {large}; }}
    }}
}}
"""
CERTIFICATE = """ssl_certificate {pair.certificate};
        ssl_certificate_key {pair.key};
        ssl_protocols TLSv1.3;
        ssl_session_tickets off;
        ssl_session_cache off;"""
UNITS = {"us": 1, "ms": 1000, "s": 1000000}


class Nginx(Peer):
    """A static answer; for large messages a file."""

    name = "nginx"
    programs = ["nginx", "wrk"]
    package = "nginx"
    does = ["latency", "calls", "large", "sessions", "idle"]
    tls = False

    def __init__(self, setting):
        super().__init__(setting)
        self.port = self.control = None
        self.asked = 0

    def configuration(self, home):
        """The file.  One worker, and with TLS every connection is a whole handshake."""
        user = pwd.getpwuid(os.getuid())
        pair = self.setting.certificate() if self.tls else None
        return CONFIGURATION.format(
            user=user.pw_name, group=grp.getgrgid(user.pw_gid).gr_name, home=home,
            control=self.control, port=self.port, tls=" ssl" if self.tls else "",
            certificate=CERTIFICATE.format(pair=pair) if pair else "", body=BODY,
            large=self.setting.file(LARGE))

    def start(self):
        """It says nothing when it is ready, so it is asked."""
        self.port, self.control, self.asked = process.free_port(), process.free_port(), 0
        home = self.folder / f"{self.name}-{self.port}"
        home.mkdir()
        (home / "nginx.conf").write_text(self.configuration(home))
        self.server = self.spawn("server", ["nginx", "-e", home / "error.log", "-p", home,
                                            "-c", home / "nginx.conf"])
        process.wait_for(f"{self.name} to answer", self.ready, 10)

    def ready(self):
        """Does it answer?"""
        if not self.server.alive():
            raise Failed(f"{self.name} ended: {self.server.complaint()}")
        try:
            return self.count() is not None
        except OSError:
            return False

    def count(self):
        """How many requests of others it has answered."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.control}/status", timeout=10) as page:
            self.asked += 1
            numbers = re.search(rb"^ (\d+) (\d+) (\d+)", page.read(), re.MULTILINE)
        return int(numbers[3]) - self.asked

    def measure(self, work, seconds):
        """wrk knows whole seconds only, and counts its handshakes in: the server's count is taken.
        """
        scheme = "https" if self.tls else "http"
        page = "large" if work.size == LARGE else "body"
        words = ["wrk", "-t", 1, "-c", work.connections, "-d", f"{math.ceil(seconds)}s",
                 "--latency"]
        if work.repeat == "sessions":
            words += ["-H", "Connection: close"]
        began = time.monotonic()
        load = self.spawn("load", words + [f"{scheme}://127.0.0.1:{self.port}/{page}"])
        readings, ended = process.drive(load, self.server.pids(), seconds * 2 + 30, self.count)
        first, last = process.window(readings, began + work.warm_up, ended - 0.1)
        rate = (last.calls - first.calls) / (last.at - first.at)
        p50 = median_of(load.output())
        # wrk's latencies begin after the connection is there: nothing to compare sessions by
        return sample(first, last, rate, None if work.repeat == "sessions" else p50)

    def hold(self, count):
        """A request on each; the connection stays."""
        say = b"GET /body HTTP/1.1\r\nHost: localhost\r\n\r\n".hex()
        return self.hold_plainly(self.port, count, "--say", say, "--expect", len(BODY) + 100,
                                 *["--tls"][: self.tls])


def median_of(output):
    """The median latency that wrk prints; an error where it prints of errors."""
    trouble = re.search(r"(Socket errors|Non-2xx).*", output)
    if trouble:
        raise Failed(f"wrk: {trouble[0]}")
    found = re.search(r"^\s+50%\s+([\d.]+)(us|ms|s)", output, re.MULTILINE)
    if not found:
        raise Failed("wrk prints no latency")
    return float(found[1]) * UNITS[found[2]]


class NginxTls(Nginx):
    """The same over TLS 1.3 with a certificate on P-256."""

    name = "nginx-tls"
    programs = ["nginx", "wrk", "openssl"]
    tls = True
