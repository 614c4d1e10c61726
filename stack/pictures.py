"""Take the pictures of the documentation from the running demo: ``pictures.py NAME...``.

`docs/development.md` says what must be going on in the demo for each of them.
"""

import base64
import contextlib
import io
import itertools
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urljoin

import requests
import websocket
from PIL import Image

from scraping import new_prometheus, shipped
from servers import data_root

CHECKOUT = Path(__file__).resolve().parent.parent
# How long a page may take, and how long its charts take to draw, in seconds.
WAIT_SECONDS = 60
SETTLE_SECONDS = 3
CHECK_NOW = ".o_listen_check_now"
PROPOSAL_PAGE = ".o_notebook .nav-link[name=proposal]"
CHECKED = ".o_listen_check_now:not(:has(.fa-spinner))"
# What Prometheus shows, first a table, then a graph, and for how long it records that before, in seconds.
FIRING = quote('ALERTS{alertstate="firing"}')
WAITING = quote("sum by (endpoint) (pgbouncer_pools_client_waiting_connections)")
RECORD_SECONDS = 300
# The length of two periods that are compared: a load test, and the time before.
COMPARED_MINUTES = 4


class Picture(NamedTuple):
    address: str  # with what `Demo.find` knows; or a file of the checkout
    width: int
    height: int
    shown: str  # a selector of what the complete page has
    button: str = ""  # a selector of what is clicked before
    folder: str = "static/description"


# The width of a phone, in CSS pixels.
PHONE = 375

PICTURES = {
    "cover": Picture("stack/cover.html", 560, 280, ".screen"),
    "overview": Picture("connection-overview", 1300, 900, ".o_connection_overview canvas"),
    "overview-load": Picture("connection-overview", 1300, 1050, ".o_connection_overview canvas"),
    "pools": Picture("pgbouncer-pools", 1400, 345, ".o_data_row"),
    "sessions": Picture("pg-sessions", 1400, 560, ".o_data_row"),
    "history": Picture("connection-history", 1300, 560, ".o_graph_renderer canvas"),
    "alert": Picture("connection-endpoints/{endpoint}", 1500, 860, ".o-mail-Message"),
    "listen": Picture("listen-check", 1300, 1090, CHECKED, CHECK_NOW),
    "steps": Picture("connection-overview", 1300, 640, ".o_first_steps"),
    "phone-overview": Picture("connection-overview", PHONE, 800, ".o_connection_overview canvas"),
    "phone-pools": Picture("pgbouncer-pools", PHONE, 800, ".o_kanban_record"),
    "listen-deaf": Picture("listen-check", 1300, 560, CHECKED, CHECK_NOW),
    "planner": Picture("connection-planner/{plan}", 1300, 890, ".o_plan_chart [role=img]"),
    "endpoint": Picture("connection-endpoints/{endpoint}", 1500, 1060, ".o_form_view canvas", folder="docs/images"),
    "planner-proposal": Picture(
        "connection-planner/{plan}", 1300, 800, ".o_plan_proposal td", PROPOSAL_PAGE, "docs/images"
    ),
    "advice": Picture("connection-advice", 1300, 640, ".o_data_row"),
    "advice-finding": Picture(
        "connection-advice/{finding}", 1300, 760, ".o_form_view .o_advice_steps pre", folder="docs/images"
    ),
    "rules": Picture("connection-rules", 1300, 530, ".o_data_row", folder="docs/images"),
    "no-answer": Picture("pgbouncer-pools", 1300, 400, ".o_data_row", folder="docs/images"),
    "prometheus": Picture(
        f"{{prometheus}}/classic/graph?g0.expr={FIRING}&g0.tab=1&g1.expr={WAITING}&g1.tab=0&g1.range_input=5m",
        *(1280, 1136, ".rickshaw_graph path"),
        folder="docs/images",
    ),
    "compare": Picture("connection-compare/{comparison}", 1366, 1330, ".o_comparison canvas", folder="docs/images"),
    "rights": Picture("action-base.action_res_users/{user}", 1300, 940, ".o_form_view", folder="docs/images"),
}


class Browser:
    """A headless Chromium, driven over its DevTools protocol."""

    def __init__(self):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-port=0"]
        self.process = subprocess.Popen(
            ["chromium", *options, f"--user-data-dir={self.profile.name}", "about:blank"], stderr=subprocess.DEVNULL
        )
        port_file = Path(self.profile.name) / "DevToolsActivePort"
        wait_until(lambda: port_file.exists() and port_file.read_text(), "Chromium's port")
        port = port_file.read_text().split()[0]
        with requests.Session() as session:
            session.trust_env = False
            pages = session.get(f"http://127.0.0.1:{port}/json", timeout=WAIT_SECONDS).json()
        url = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
        self.socket = websocket.create_connection(url, suppress_origin=True, timeout=WAIT_SECONDS)
        self.numbers = itertools.count(1)

    def send(self, method, **params):
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while (answer := json.loads(self.socket.recv())).get("id") != number:
            pass
        return answer["result"]

    def evaluate(self, expression):
        return self.send("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def wait_for(self, selector):
        wait_until(lambda: self.evaluate(f"!!document.querySelector({json.dumps(selector)})"), selector)

    def stop(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait(10)
        self.profile.cleanup()


class Demo:
    """The administrator of the running demo."""

    def __init__(self):
        lines = (CHECKOUT / ".stack/demo.env").read_text().splitlines()
        variables = dict(shlex.split(line)[1].split("=", 1) for line in lines)
        self.url, self.api_key = variables["ODOO_URL"], variables["ODOO_API_KEY"]
        self.prometheus = None
        self.session = requests.Session()
        self.session.trust_env = False
        login = {"db": variables["ODOO_DB"], "login": variables["ODOO_LOGIN"], "password": variables["ODOO_PASSWORD"]}
        self.post("/web/session/authenticate", login)

    def post(self, path, params):
        return self.session.post(self.url + path, json={"params": params}, timeout=WAIT_SECONDS).json()["result"]

    def find(self, address):
        """Return the ids that an address may name. What a picture shows alone is made for its address only."""
        endpoint = self.search("connection.endpoint", [["name", "=", "Demo PgBouncer"]])
        plan = self.search("connection.plan", [["name", "=like", "Classic%"]])
        finding = self.search("connection.advice", [["code", "=", "short_timeout"]])
        ids = {"endpoint": endpoint, "plan": plan, "user": 2, "finding": finding}
        made = {"comparison": self.compare()} if "{comparison}" in address else {}
        return ids | {"prometheus": self.prometheus} | made

    @contextlib.contextmanager
    def recorded(self):
        """Record with a Prometheus, and keep it running meanwhile."""
        folder = data_root() / "picture"
        prometheus = new_prometheus(folder, self.url, self.api_key, shipped("rules.yml"), "5s").start()
        try:
            time.sleep(RECORD_SECONDS)
            self.prometheus = prometheus.url
            yield
        finally:
            prometheus.stop()
            shutil.rmtree(folder)

    def search(self, model, domain):
        return next(iter(self.call(model, "search", domain, limit=1, order="id")), None)

    def call(self, model, method, *args, **kwargs):
        params = {"model": model, "method": method, "args": args, "kwargs": kwargs}
        return self.post("/web/dataset/call_kw", params)

    def compare(self):
        """Return the id of a comparison of the last minutes with those before."""
        length = timedelta(minutes=COMPARED_MINUTES)
        now = datetime.now(timezone.utc).replace(tzinfo=None, second=0, microsecond=0)
        values = {"second_start": str(now - length), "first_start": str(now - 2 * length)}
        values |= {"duration": COMPARED_MINUTES, "unit": "minutes", "figure": "used_max"}
        return self.call("connection.comparison", "create", values)


def wait_until(condition, what):
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"This did not appear: {what}")
        time.sleep(0.2)


def take(browser, demo, picture, path):
    size = {"width": picture.width, "height": picture.height}
    is_phone = picture.width == PHONE
    browser.send("Emulation.setDeviceMetricsOverride", **size, deviceScaleFactor=1 + is_phone, mobile=is_phone)
    browser.send("Emulation.setTouchEmulationEnabled", enabled=is_phone)
    cookie = demo.session.cookies["session_id"]
    browser.send("Network.setCookie", name="session_id", value=cookie, url=demo.url)
    file = CHECKOUT / picture.address
    address = picture.address
    url = file.as_uri() if file.is_file() else urljoin(f"{demo.url}/odoo/", address.format(**demo.find(address)))
    browser.send("Page.navigate", url=url)
    if picture.button:
        browser.wait_for(picture.button)
        browser.evaluate(f"document.querySelector({json.dumps(picture.button)}).click()")
        time.sleep(1)  # then the page shows that it works, and no longer what it showed before
    browser.wait_for(picture.shown)
    time.sleep(SETTLE_SECONDS)
    png = base64.b64decode(browser.send("Page.captureScreenshot")["data"])
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.open(io.BytesIO(png)).convert("RGB")
    # Thus thin lines keep their colors, and so does the background.
    image.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=2).save(path, optimize=True)
    print(f"{path.relative_to(CHECKOUT)}: {path.stat().st_size // 1000} kB")


def main():
    names = sys.argv[1:] or sys.exit(f"Name one or more of: {', '.join(PICTURES)}")
    demo = Demo()
    with demo.recorded() if "prometheus" in names else contextlib.nullcontext():
        browser = Browser()
        try:
            for name in names:
                take(browser, demo, PICTURES[name], CHECKOUT / PICTURES[name].folder / f"{name}.png")
        finally:
            browser.stop()


if __name__ == "__main__":
    main()
