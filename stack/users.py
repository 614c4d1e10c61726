"""The users of a site: how long a chat message and a triggered job take for them."""

import functools
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import psutil

from page import LIVE_SECONDS, Page
from servers import ServerError

# How long to wait for what must be live: other servers start at the same time, and cron workers have a low priority
# (os.nice). The timer of a deaf worker (60 s) may expire in this time, but its verdict would still be wrong.
SLOW_MACHINE_SECONDS = 20
# How long to wait for a job that may be live or not: the timers must not look like LISTEN.
EITHER_SECONDS = 10
# A deaf cron worker may happen to poll, or end another job, when a job is triggered. It does not three times in a row.
ATTEMPTS = 3
BUYER = {"login": "buyer", "password": "buyer-of-the-shop"}


class Users:
    """An administrator, who posts and triggers jobs, and a buyer, who receives messages in one or several browsers.

    :param Page page: the administrator's
    :param list bus_ports: of the bus processes
    """

    def __init__(self, page, bus_ports):
        self.page = page
        self.bus_ports = set(bus_ports)
        self.make_chat()

    def make_chat(self):
        """Create a channel, and another user who is a member."""
        group = self.page.call("ir.model.data", "check_object_reference", "base", "group_user")[1]
        user = self.page.call("res.users", "create", {"name": "Buyer", "group_ids": [[6, 0, [group]]], **BUYER})
        partner = self.page.call("res.users", "read", [user], ["partner_id"])[0]["partner_id"][0]
        members = [[0, 0, {"partner_id": partner}]]
        values = {"name": "Sales", "channel_type": "channel", "channel_member_ids": members}
        self.channel = self.page.call("discuss.channel", "create", values)
        self.browsers = []
        self.browsers.append(self.new_browser())

    def new_browser(self):
        browser = Page(self.page.url, self.page.database, **BUYER)
        browser.address = f"127.0.0.{2 + len(self.browsers)}"
        return browser

    def open_sockets(self):
        """Open the buyer's websockets, of as many browsers as it takes to have one at each bus process.

        :raise ServerError: a bus process gets none
        """
        reached, opened = set(), 0
        while opened < len(self.browsers) or (len(self.bus_ports) > 1 and reached != self.bus_ports):
            if opened == 3 * len(self.bus_ports):
                raise ServerError(f"of the bus processes {self.bus_ports}, websockets reach {reached} only")
            if opened == len(self.browsers):
                self.browsers.append(self.new_browser())
            before = self.bus_connections()
            self.browsers[opened].open_socket()
            reached |= {port for port, _peer in self.bus_connections() - before}
            opened += 1

    def bus_connections(self):
        """Return the established connections to the bus processes: their port and the peer's address."""
        return {
            (connection.laddr.port, connection.raddr)
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port in self.bus_ports
        }

    def chat_delay(self, is_live):
        """Return after how many seconds a chat message has reached all websockets of the buyer, or None.

        :param is_live: what is expected: True, False, or None for either
        """
        seconds = LIVE_SECONDS if is_live is False else SLOW_MACHINE_SECONDS
        self.open_sockets()
        text = str(uuid.uuid4())
        post = functools.partial(self.page.call, "discuss.channel", "message_post", self.channel, body=text)
        with ThreadPoolExecutor(1 + len(self.browsers)) as pool:
            pool.submit(post, message_type="comment", subtype_xmlid="mail.mt_comment")  # it may hang or fail
            waits = [pool.submit(browser.wait_for, text, seconds) for browser in self.browsers]
            delays = [wait.result() for wait in waits]
        return None if None in delays else max(delays)

    def job_delay(self, is_live):
        """Return after how many seconds a triggered job starts, or None if it waits for the timer. See `chat_delay`."""
        seconds = {True: SLOW_MACHINE_SECONDS, False: LIVE_SECONDS, None: EITHER_SECONDS}[is_live]
        for _attempt in range(1 if is_live else ATTEMPTS):
            delay = self.try_job(seconds)
            if delay is None:
                break
        return delay

    def try_job(self, seconds):
        """Return after how many seconds a triggered job starts, or None if it takes longer than ``seconds``."""
        job, trigger = self.make_job()
        started = time.monotonic()
        with ThreadPoolExecutor(1) as runner:  # it may hang or fail
            runner.submit(self.page.call, "ir.actions.server", "run", [trigger])
            while (waited := time.monotonic() - started) < seconds:
                if self.page.call("ir.cron", "read", [job], ["lastcall"])[0]["lastcall"]:
                    return waited
                time.sleep(0.1)
        return None

    def make_job(self):
        """Return the ids of a new scheduled action, and of a server action that triggers it."""
        model = self.page.call("ir.model", "search", [["model", "=", "res.partner"]])[0]
        action = {"name": "Nothing", "model_id": model, "state": "code", "code": "pass"}
        times = {"interval_number": 1, "interval_type": "weeks", "nextcall": "2099-01-01 00:00:00"}
        job = self.page.call("ir.cron", "create", action | times)
        return job, self.page.make_trigger(job)
