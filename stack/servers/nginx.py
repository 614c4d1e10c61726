"""nginx."""

import signal

from .process import Server
from .system import LOCALHOST


class Nginx(Server):
    """A reverse proxy in front of an Odoo. It passes /websocket to the gevent process."""

    name = "nginx"
    stop_signal = signal.SIGQUIT

    def __init__(self, folder, port, odoo_port, gevent_port):
        super().__init__(folder, port)
        self.odoo_port = odoo_port
        self.gevent_port = gevent_port

    @property
    def url(self):
        return f"http://{LOCALHOST}:{self.port}"

    def command(self):
        temporary = "".join(
            f"    {kind}_temp_path {self.data}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
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
    map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
    server {{
        listen {LOCALHOST}:{self.port};
        client_max_body_size 64m;
        proxy_read_timeout 720s;
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        location /websocket {{
            proxy_pass http://{LOCALHOST}:{self.gevent_port};
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
        }}
        location / {{ proxy_pass http://{LOCALHOST}:{self.odoo_port}; }}
    }}
}}
""",
        )
        return ["/usr/sbin/nginx", "-e", "stderr", "-c", str(configuration), "-p", str(self.folder)]
