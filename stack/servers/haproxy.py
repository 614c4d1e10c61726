"""HAProxy."""

from .process import Server
from .system import LOCALHOST


class HAProxy(Server):
    """An HAProxy. Subclasses say what it is in front of."""

    name = "haproxy"

    def sections(self):
        """Return the sections of its configuration that listen, and where they pass connections to."""
        raise NotImplementedError

    def command(self):
        configuration = self.write("haproxy.cfg", f"defaults\n    timeout connect 5s\n{self.sections()}")
        return ["/usr/sbin/haproxy", "-db", "-f", str(configuration)]


class TcpProxy(HAProxy):
    """A proxy that cuts connections that are quiet for ``timeout``, for example "50s"."""

    def __init__(self, folder, port, target, timeout):
        super().__init__(folder, port)
        self.target = target
        self.timeout = timeout

    def sections(self):
        return f"""
listen tcp
    mode tcp
    timeout client {self.timeout}
    timeout server {self.timeout}
    bind {LOCALHOST}:{self.port}
    server target {LOCALHOST}:{self.target}
"""


class StickyProxy(HAProxy):
    """A reverse proxy in front of Odoo that passes all websockets of a browser to the same gevent process.

    :param str balance: how it knows a browser: by its "cookie", or by its "source", the address
    """

    def __init__(self, folder, port, odoo_ports, gevent_ports, balance):
        super().__init__(folder, port)
        self.odoo_ports = odoo_ports
        self.gevent_ports = gevent_ports
        self.balance = balance

    @property
    def url(self):
        return f"http://{LOCALHOST}:{self.port}"

    def sections(self):
        balances = {
            "cookie": "balance roundrobin\n    cookie BUS insert indirect nocache",
            "source": "balance source",
        }
        odoo = "\n".join(f"    server odoo{port} {LOCALHOST}:{port}" for port in self.odoo_ports)
        gevent = "\n".join(f"    server bus{port} {LOCALHOST}:{port} cookie {port}" for port in self.gevent_ports)
        return f"""
    mode http
    timeout client 720s
    timeout server 720s
    timeout tunnel 1h

frontend browsers
    bind {LOCALHOST}:{self.port}
    option forwardfor
    http-request set-header X-Forwarded-Host %[req.hdr(Host)]
    http-request set-header X-Forwarded-Proto http
    use_backend websockets if {{ path_beg /websocket }}
    default_backend odoo

backend odoo
{odoo}

backend websockets
    {balances[self.balance]}
{gevent}
"""
