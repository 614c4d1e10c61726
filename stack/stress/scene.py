"""What the users of a load need on a site: sessions, contacts, small chat channels. All of it is removed afterwards."""

import contextlib
import re
import ssl
from urllib.parse import quote, urlsplit

import requests

from rpc import OdooClient
from servers import ServerError

# The name of each contact and channel, by which somebody finds them if they could not be removed.
NAME = "Stress test (may be deleted)"
CHANNEL_MEMBERS = 3
# A user has only so many windows open: each of them gets all messages of all of his channels.
CHATTERS_PER_LOGIN = 5


def new_session():
    """Return a requests.Session that trusts the certificates that the load trusts."""
    session = requests.Session()
    session.trust_env = False  # the environment's proxy is not for this machine, and the load does not use it
    paths = ssl.get_default_verify_paths()
    session.verify = paths.cafile or paths.capath or True
    return session


def cast(users, logins):
    """Return how many users are visitors, clerks and chatters. Four of five are visitors.

    :param int users: at least 5
    :param int logins: how many there are for the clerks and chatters
    """
    if not logins:
        return users, 0, 0
    chatters = min(max(1, users // 20), CHATTERS_PER_LOGIN * logins)
    clerks = users // 5 - chatters or 1
    return users - clerks - chatters, clerks, chatters


class SignedIn(OdooClient):
    """A user who has logged in with the form, as a browser does. See OdooClient.

    :param str database: None if the site has only one
    :raise ServerError: he may not, or needs more than a password
    """

    def __init__(self, url, database, login, password):
        self.url = url
        self.session = new_session()
        page = self.session.get(f"{url}/web/login", params={"db": database} if database else None, timeout=self.timeout)
        page.raise_for_status()
        token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
        if not token:
            raise ServerError(f"{url}/web/login has no form to log in: is a database missing, or its name wrong?")
        form = {"csrf_token": token[1], "login": login, "password": password}
        answer = self.session.post(f"{url}/web/login", form, timeout=self.timeout, allow_redirects=False)
        answer.raise_for_status()
        target = urlsplit(answer.headers.get("location", "")).path
        if not target:
            raise ServerError(f"{url} refuses the login {login}, or its password.")
        if target.startswith("/web/login/"):
            raise ServerError(f"{url} wants a second factor of {login}. Use a login without one.")
        info = self.post("/web/session/get_session_info", {})
        if not info["is_internal_user"]:
            raise ServerError(f"{login} is not an internal user of {url}. Use the login of one.")
        self.database, self.partner = info["db"], info["partner_id"]

    @property
    def cookie(self):
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.session.cookies)

    def last_notification(self):
        """Return the id of the last notification of the bus, as the web client learns it."""
        data = self.post("/mail/data", {"fetch_params": ["systray_get_activities"]})
        return data["Store"]["activity_counter_bus_id"]


class Scene:
    """What the users of a Load need on a site.

    :param str url: of the site, without a path
    :param str database: None if the site has only one
    :param logins: (login, password) of internal users who may create contacts. Without any, all users are visitors.
    :param int users: the most users of a Load
    """

    def __init__(self, url, database, logins, users=500):
        self.url, self.database, self.logins, self.users = url.rstrip("/"), database, list(logins), users
        self.home = "/"
        self.clients, self.contacts, self.channels = [], [], []

    def prepare(self):
        """Log in once for each login, create contacts and channels.

        :raise ServerError: it is not possible; nothing remains on the site
        """
        try:
            self.find_home()
            for login, password in self.logins:
                self.clients.append(SignedIn(self.url, self.database, login, password))
            if self.clients:
                self.create()
        except BaseException as error:
            self.remove()
            if isinstance(error, (RuntimeError, requests.RequestException)):
                raise ServerError(f"{self.url}: {describe(error)}") from error
            raise

    def find_home(self):
        """Find out which page a visitor opens. Without a database of its own the site answers with the selector."""
        page = new_session().get(self.url + "/", timeout=OdooClient.timeout)
        page.raise_for_status()
        if urlsplit(page.url).path.startswith("/web/database"):
            if not self.database:
                raise ServerError(f"{self.url} has more than one database, or none: name one with DB=…")
            self.home = f"/web/login?db={quote(self.database)}"

    def create(self):
        client = self.clients[0]
        _visitors, clerks, chatters = cast(self.users, len(self.logins))
        try:
            self.contacts = client.call("res.partner", "create", [{"name": NAME} for _number in range(clerks)])
        except RuntimeError as error:
            raise ServerError(
                f"{self.logins[0][0]} cannot create contacts on {self.url}. Does the user have the right to create "
                f"them (Contact: Creation)? Odoo reports: {describe(error)}"
            ) from error
        partners = [client.partner for client in self.clients]
        # One for each chatter: two requests that update the same member would wait for each other.
        for number in range(chatters):
            owner = number % len(partners)
            members = dict.fromkeys((partners + partners)[owner : owner + CHANNEL_MEMBERS])
            values = {"name": NAME, "channel_type": "group"}
            values["channel_member_ids"] = [(0, 0, {"partner_id": partner}) for partner in members]
            self.channels.append(self.clients[owner].call("discuss.channel", "create", values))

    def configuration(self, users):
        """Return what the driver needs for this number of users."""
        visitors, clerks, chatters = cast(users, len(self.logins))
        count = len(self.clients)
        last = self.clients[0].last_notification() if chatters else 0
        return {
            "url": self.url,
            "home": self.home,
            "visitors": visitors,
            "clerks": [
                {"cookie": self.clients[number % count].cookie, "contact": self.contacts[number]}
                for number in range(clerks)
            ],
            "chatters": [
                {
                    "cookie": self.clients[number % count].cookie,
                    "channel": self.channels[number],
                    "last": last,
                }
                for number in range(chatters)
            ],
        }

    def remove(self):
        """Remove what `prepare` created, and log out. Return descriptions of what could not be removed."""
        left = []
        for number, client in enumerate(self.clients):
            own = self.channels[number :: len(self.clients)]
            try:
                client = self.again(number, client)
                if self.contacts and not number:
                    client.call("res.partner", "unlink", self.contacts)
                    self.contacts = []
                if any(own):
                    left += remove_channels(client, own)
                    self.channels[number :: len(self.clients)] = [None] * len(own)
                client.post("/web/session/destroy", {})
            except (RuntimeError, ServerError, requests.RequestException) as error:
                left.append(f"contacts or channels with the name “{NAME}”: {describe(error)}")
        return left

    @property
    def is_removed(self):
        return not self.contacts and not any(self.channels)

    def again(self, number, client):
        """Return the client, logged in anew if its session is over."""
        with contextlib.suppress(RuntimeError):
            client.post("/web/session/get_session_info", {})
            return client
        return SignedIn(self.url, self.database, *self.logins[number])


def remove_channels(client, channels):
    """Remove channels with their messages. Return descriptions of what remains: only administrators may delete one."""
    try:
        client.call("discuss.channel", "unlink", channels)
        return []
    except RuntimeError:
        domain = [["model", "=", "discuss.channel"], ["res_id", "in", channels]]
        client.call("mail.message", "unlink", client.call("mail.message", "search", domain))
        client.call("discuss.channel", "write", channels, {"active": False})
        return [f"archived, empty channels “{NAME}” ({len(channels)}): only an administrator may delete them"]


def describe(error):
    """Return an error in words, without the address of a request."""
    if isinstance(error, requests.exceptions.SSLError):
        return (
            "its certificate is not trusted here. Install the authority's certificate, or name its file in the "
            "environment variable SSL_CERT_FILE."
        )
    if isinstance(error, requests.ConnectionError):
        return "no connection. Is the address right, and reachable from here?"
    if isinstance(error, requests.Timeout):
        return f"no answer within {OdooClient.timeout} s."
    if isinstance(error, requests.HTTPError):
        return f"HTTP {error.response.status_code}."
    return str(error).partition(": ")[2].partition("\n")[0]  # without the name of Odoo's exception
