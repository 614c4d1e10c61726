"""nginx."""

import signal

from .process import Server
from .system import LOCALHOST


class Nginx(Server):
    """A reverse proxy in front of Odoo. It passes /websocket to the gevent processes, by turns if there are several.

    :param list odoo_ports: where all other requests are passed to
    :param str location: which requests are passed to the gevent processes
    :param str host: the header Host for the gevent processes; empty for none
    :param str connection: the header Connection of websockets; empty for neither this one nor Upgrade
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
        connection="$connection_upgrade",
    ):
        super().__init__(folder, port)
        self.upstreams = {"odoo": odoo_ports, "odoochat": gevent_ports}
        self.location = location
        self.host = host
        self.upgrade = {"Upgrade": "$http_upgrade", "Connection": connection} if connection else {}

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
        configuration = self.write(
            "nginx.conf",
            f"""daemon off;
worker_processes 1;
worker_rlimit_nofile 8192;
pid {self.data}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
{temporary}
{upstreams}
    map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
    server {{
        listen {LOCALHOST}:{self.port};
        client_max_body_size 64m;
        proxy_read_timeout 720s;
        proxy_http_version 1.1;
        location {self.location} {{
            proxy_pass http://odoochat;
            {self.headers(self.host, **self.upgrade)}
        }}
        location / {{
            proxy_pass http://odoo;
            {self.headers("$http_host")}
        }}
    }}
}}
""",
        )
        return ["/usr/sbin/nginx", "-e", "stderr", "-c", str(configuration), "-p", str(self.folder)]

    def headers(self, host, **more):
        headers = {"Host": host, "X-Forwarded-Host": host} | more
        headers |= {"X-Forwarded-For": "$proxy_add_x_forwarded_for", "X-Forwarded-Proto": "$scheme"}
        return " ".join(f'proxy_set_header {name} "{value}";' for name, value in headers.items())
