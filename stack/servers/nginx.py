"""nginx."""

import signal

from .process import Server
from .system import LOCALHOST


class Nginx(Server):
    """A reverse proxy in front of Odoo. It passes /websocket to the gevent processes, by turns if there are several.

    :param list odoo_ports: where all other requests are passed to
    :param str location: which requests are passed to the gevent processes
    :param str host: the header Host for the gevent processes; empty for none
    :param str version: of HTTP, for the gevent processes
    :param bool is_upgraded: whether the headers of websockets are passed on
    """

    name = "nginx"
    stop_signal = signal.SIGQUIT

    def __init__(
        self,
        folder,
        port,
        odoo_ports,
        gevent_ports,
        location="/websocket",
        host="$http_host",
        version="1.1",
        is_upgraded=True,
    ):
        super().__init__(folder, port)
        self.upstreams = {"odoo": odoo_ports, "odoochat": gevent_ports}
        self.location = location
        self.host = host
        self.version = version
        self.is_upgraded = is_upgraded

    @property
    def url(self):
        return f"http://{LOCALHOST}:{self.port}"

    def command(self):
        temporary = "".join(
            f"    {kind}_temp_path {self.data}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        upstreams = "".join(
            f"    upstream {name} {{ {' '.join(f'server {LOCALHOST}:{port};' for port in ports)} }}\n"
            for name, ports in self.upstreams.items()
        )
        headers = {"Host": "$http_host", "X-Forwarded-Host": "$http_host"}
        headers |= {"X-Forwarded-For": "$proxy_add_x_forwarded_for", "X-Forwarded-Proto": "$scheme"}
        websocket = {"Host": self.host, "X-Forwarded-Host": self.host}
        if self.is_upgraded:
            websocket |= {"Upgrade": "$http_upgrade", "Connection": "$connection_upgrade"}
        configuration = self.write(
            "nginx.conf",
            f"""daemon off;
worker_processes 1;
pid {self.data}/nginx.pid;
error_log stderr warn;
events {{ }}
http {{
    access_log off;
{temporary}
{upstreams}
    map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
    server {{
        listen {LOCALHOST}:{self.port};
        client_max_body_size 64m;
        proxy_read_timeout 720s;
        location {self.location} {{
            proxy_pass http://odoochat;
            proxy_http_version {self.version};
            {_set(headers | websocket)}
        }}
        location / {{
            proxy_pass http://odoo;
            proxy_http_version 1.1;
            {_set(headers)}
        }}
    }}
}}
""",
        )
        return ["/usr/sbin/nginx", "-e", "stderr", "-c", str(configuration), "-p", str(self.folder)]


def _set(headers):
    return " ".join(f'proxy_set_header {name} "{value}";' for name, value in headers.items())
