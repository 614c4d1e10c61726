"""`make stress URL=https://…`: the load of the stress test on a site of one's own.

Its options are environment variables: URL, USERS, MINUTES, LOGIN, DB, YES. PASSWORD and KEY are secret: they are
neither in a command line, nor printed, nor written.
"""

import getpass
import json
import math
import os
import re
import signal
import sys
import threading
import time
from contextlib import contextmanager, suppress
from importlib.metadata import version
from typing import NamedTuple
from urllib.parse import urlsplit

import requests

from servers import CHECKOUT, ServerError, step

from . import site_report
from .load import Load, percentile
from .scene import NAME, Scene, cast, describe, new_session
from .site_samples import SampleReader

OUTPUT = CHECKOUT / "stress"
MIN_USERS, MAX_USERS, MAX_MINUTES = 5, 5000, 120
RAMP = 1 / 5  # of the time
# The load stops if more of the requests of the last seconds fail.
ERROR_LIMIT, ERROR_SECONDS, ERROR_REQUESTS = 0.05, 10, 20
PROGRESS_SECONDS = 5
CLEAN_UP_SECONDS = 60
TIMEOUT = 30
INTERRUPTED = 130  # the exit code of a program that Ctrl-C ended


class Options(NamedTuple):
    url: str
    users: int
    minutes: float
    login: str | None
    database: str | None
    is_confirmed: bool
    password: str | None
    key: str | None

    @property
    def seconds(self):
        return max(2, round(self.minutes * 60))

    @property
    def ramp(self):
        return max(1, round(self.seconds * RAMP))


def read_number(environment, name, default, lowest, highest, kind):
    text = environment.get(name) or str(default)
    try:
        number = kind(text)
    except ValueError:
        number = math.nan
    if not lowest <= number <= highest:
        raise ServerError(f"{name}={text} is not a number from {lowest:g} to {highest:g}.")
    return number


def read_options(environment):
    """Return the Options.

    :raise ServerError: one is wrong
    """
    # make passes its own arguments on in this variable, and everybody on this machine can read them.
    if re.search(r"(^| )(PASSWORD|KEY)=", environment.get("MAKEFLAGS", "")):
        raise ServerError("Do not name PASSWORD or KEY as arguments of make: others could read them. Export them.")
    url = environment.get("URL", "").rstrip("/")
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        is_address = False
    if not is_address or "@" in parts.netloc or parts.path or parts.query or parts.fragment:
        raise ServerError("URL must be the address of a site, without a path: URL=https://staging.example.com")
    return Options(
        url,
        read_number(environment, "USERS", 200, MIN_USERS, MAX_USERS, int),
        read_number(environment, "MINUTES", 5, 0.1, MAX_MINUTES, float),
        environment.get("LOGIN") or None,
        environment.get("DB") or None,
        environment.get("YES") == "1",
        environment.get("PASSWORD") or None,
        environment.get("KEY") or None,
    )


def check_site(url):
    """Return the version of the Odoo at an address.

    :raise ServerError: there is none
    """
    try:
        session = new_session()
        page = session.get(f"{url}/web/login", timeout=TIMEOUT)
        if page.status_code == 401:
            raise ServerError(
                f"{url} asks for a user and a password before Odoo's own (HTTP authentication). The load has none:"
                " let this machine's address pass without them."
            )
        there = "{0.scheme}://{0.netloc}".format(urlsplit(page.url))
        if there != url.lower():
            raise ServerError(f"{url} redirects to {there}: use URL={there}")
        answer = session.post(f"{url}/web/webclient/version_info", json={"params": {}}, timeout=TIMEOUT)
        return answer.json()["result"]["server_version"]
    except requests.JSONDecodeError:
        raise ServerError(f"{url} is not an Odoo, or its proxy does not pass /web/webclient.") from None
    except (KeyError, TypeError):
        raise ServerError(f"{url} is not an Odoo.") from None
    except requests.RequestException as error:
        raise ServerError(f"{url}: {describe(error)}") from None


def is_over_limit(entries, users):
    """Return whether too many requests of the last seconds failed. Few requests prove nothing, on a small site five.

    :param list entries: the timeline
    """
    last = entries[-ERROR_SECONDS:]
    requests, failures = (sum(entry[name] for entry in last) for name in ("requests", "failures"))
    return requests >= min(ERROR_REQUESTS, users) and failures > ERROR_LIMIT * requests


def question(options):
    """Return what will happen."""
    visitors, clerks, chatters = cast(options.users, 1 if options.login else 0)
    at_most = round(options.users * (options.seconds - options.ramp / 2) / 2, -2)
    lines = [
        f"{options.users} users will load {options.url} for {options.minutes:g} min: up to {at_most:,.0f} requests.",
        f"- Visitors, who open the homepage without a session: {visitors}.",
    ]
    if options.login:
        lines += [
            f"- Signed in as {options.login}, with lists and a contact: {clerks}. In the chat: {chatters}.",
            f"- Created for them: contacts ({clerks}) and group channels ({chatters}) with messages, named “{NAME}”.",
            "  They are removed in the end. Channels of a login that is no administrator are emptied and archived.",
        ]
    return [
        *lines,
        "- Other users of the site will feel it: pages become slow, or fail. Never use the site that people work on.",
        f"- It stops when more than {100 * ERROR_LIMIT:g} % of the requests fail, or with Ctrl-C.",
    ]


def confirm(options):
    """Ask whether to start.

    :raise ServerError: nobody said yes
    """
    print("\n".join(question(options)), flush=True)
    if options.is_confirmed:
        return
    if not sys.stdin.isatty():
        raise ServerError("There is no terminal to ask. YES=1 starts without a question.")
    if input("Start? Type yes: ").strip().lower() != "yes":
        raise ServerError("Not started.")


class OwnSite:
    """A run on a site.

    :param Path output: the folder for figures.json and report.html
    """

    def __init__(self, options, output=OUTPUT):
        self.options, self.output = options, output
        self.is_interrupted, self.timeline, self.stopped = threading.Event(), [], None
        self.reader = SampleReader(options.url, options.key, options.database) if options.key else None
        logins = [(options.login, options.password)] if options.login else []
        self.scene = Scene(options.url, options.database, logins, options.users)
        self.load = Load(
            self.scene,
            options.users,
            spawn_rate=options.users / options.ramp,
            warm_up=options.ramp,
            seconds=options.seconds - options.ramp,
            on_second=self.follow,
        )

    def run(self):
        """Return the exit code."""
        odoo = check_site(self.options.url)
        if self.reader:
            self.reader.check()
        confirm(self.options)
        figures = {"format": 1, "kind": "site", "url": self.options.url, "users": self.options.users}
        figures |= {"minutes": self.options.minutes, "ramp": self.options.ramp, "has_login": bool(self.options.login)}
        figures |= {"versions": {"odoo": odoo, "locust": version("locust")}}
        with self.interruptible():
            figures |= self.measure()
        self.output.mkdir(exist_ok=True)
        (self.output / "figures.json").write_text(json.dumps(figures, indent=1))
        path = self.output / "report.html"
        path.write_text(site_report.page(figures))
        step(f"The report is {path}")
        if self.is_interrupted.is_set():
            return INTERRUPTED
        return 1 if self.stopped else 0

    def measure(self):
        """Run the load, and remove what it needed. Return its part of the figures."""
        step("Preparing")
        try:
            self.scene.prepare()
            started_at = time.time()
            step(f"Users arrive for {self.options.ramp} s")
            result = self.load.run()
            ended_at = time.time()
        finally:
            left = self.clean_up()
        figures = {"started_at": started_at, "ended_at": ended_at, "stopped": self.stopped}
        figures |= {"result": result, "not_removed": left, "samples": None, "clock_offset": None}
        if self.reader:
            step("Waiting for the last sample")
            try:
                figures["samples"] = self.reader.wait_for_samples(started_at, ended_at, self.is_interrupted)
                figures["clock_offset"] = round(self.reader.offset, 1)
            except ServerError as error:
                print(error, flush=True)
        return figures

    @contextmanager
    def interruptible(self):
        """End the load at Ctrl-C, or when the terminal is closed, instead of the program, which must clean up and write
        the report."""

        def interrupt(_signal, _frame):
            self.is_interrupted.set()  # `follow` ends the load
            with suppress(OSError):  # the terminal is closed
                os.write(1, b"\nStopping, and removing what was created.\n")  # print may be what was interrupted

        names = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
        # nohup ignores a signal.
        caught = [name for name in names if signal.getsignal(name) != signal.SIG_IGN]
        handlers = {name: signal.signal(name, interrupt) for name in caught}
        try:
            yield
        finally:
            for name, handler in handlers.items():
                signal.signal(name, handler)

    def stop(self, reason):
        self.stopped = self.stopped or reason
        self.load.stop()

    def follow(self, entry):
        """Follow the load: see Load."""
        self.timeline.append(entry)
        if self.is_interrupted.is_set():
            self.stop("interrupted")
        elif is_over_limit(self.timeline, self.options.users) and not self.stopped:
            print(f"More than {100 * ERROR_LIMIT:g} % of the requests fail: stopped.", flush=True)
            self.stop("errors")
        elif len(self.timeline) % PROGRESS_SECONDS == 0:
            print(self.progress(), flush=True)

    def progress(self):
        last = self.timeline[-PROGRESS_SECONDS:]
        left = max(0, self.options.seconds - len(self.timeline))
        requests, failures = (sum(entry[name] for entry in last) for name in ("requests", "failures"))
        slowest = percentile(sorted(entry["p95"] for entry in last if entry["p95"] is not None), 0.5)
        p95 = "-" if slowest is None else f"{slowest:.2f} s"
        return (
            f"{left // 60:4}:{left % 60:02} left  {last[-1]['users']:5} users  {requests / len(last):8.1f} requests/s"
            f"  p95 {p95:>8}  {failures:4} failures"
        )

    def clean_up(self):
        """Remove what was created. Return what remains. A site that has just failed may need a moment."""
        deadline, left = time.monotonic() + CLEAN_UP_SECONDS, self.scene.remove()
        while not self.scene.is_removed and time.monotonic() < deadline:
            time.sleep(3)
            left = self.scene.remove()
        for text in left:
            print(f"Not removed from the site: {text}", flush=True)
        return left


def main(environment=os.environ):
    """Return the exit code."""
    try:
        options = read_options(environment)
        if options.login and not options.password:
            if not sys.stdin.isatty():
                raise ServerError("There is no terminal to ask for the password. Export it as PASSWORD.")
            options = options._replace(password=getpass.getpass(f"Password of {options.login}: "))
        return OwnSite(options).run()
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1
