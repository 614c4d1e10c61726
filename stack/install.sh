#!/usr/bin/env bash
# Downloads what the stack needs and links it into .stack/:
#   .stack/odoo   an Odoo 19 source tree       .stack/venv   the Python environment
#   .stack/node   the JavaScript checkers (only for "lint")
#   .stack/servers-SUITE  PgBouncer and PostgreSQL of other Debian suites (only for "test")
#   .stack/addons         modules of the OCA (only for "test")
#   .stack/pages          axe-core and rtlcss, for the accessibility of pages, from right to left, too (only for "test")
#   .stack/exporters      the Prometheus exporters of both servers (only for "bench")
# Usage: stack/install.sh demo|test|lint|bench
# Downloads are kept in the user's cache folder, shared by all checkouts.
# ODOO_SOURCE=/path  use this Odoo 19 source instead of Debian's package
# DEBIAN_MIRROR=URL  where Debian's packages are, for a machine that is not Debian
set -euo pipefail
purpose=${1:?usage: stack/install.sh demo|test|lint|bench}
cd "$(dirname "$0")/.."
stack=$PWD/.stack
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pgbouncer_monitor
log=$stack/install.log
mkdir -p "$stack" "$cache"
: >"$log"

# Debian's packages for Odoo's web assets: the links in its source point to their files.
# fonts-font-awesome must come from a suite with version 4.7.
odoo_packages=(odoo-19/unstable fonts-montserrat/unstable libjs-jquery/bookworm libjs-jquery-form/bookworm
    libjs-underscore/bookworm fonts-font-awesome/bookworm fonts-roboto-unhinted/bookworm
    fonts-inconsolata/bookworm fonts-dejavu-core/bookworm)
# Other versions of PgBouncer and PostgreSQL: the suite, then its packages.
server_packages=("bullseye pgbouncer postgresql-13 postgresql-client-13"
    "bookworm pgbouncer postgresql-15 postgresql-client-15"
    "trixie pgbouncer postgresql-17 postgresql-client-17"
    "unstable pgbouncer postgresql-18 postgresql-client-18")

# One connects Odoo's bus directly to PostgreSQL, the other is a listener of its own.
oca_addons=(odoo-addon-bus-alt-connection==19.0.1.0.0.2 odoo-addon-queue-job==19.0.2.4.0.1)
# What they require beyond Odoo's own requirements.
oca_libraries=(openupgradelib==3.13.7)
# One checks the accessibility of a page, Odoo needs the other for languages that are written from right to left.
page_tools=(axe-core@4.14.1 rtlcss@4.3.0)

step() { echo "==> $*"; echo "==> $*" >>"$log"; }
fail() {
    echo "FAILED: $1" >&2
    [ ! -s "$log" ] || { echo "--- last lines of $log" >&2; tail -n 15 "$log" >&2; }
    echo "What to do: $2" >&2
    exit 1
}
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install_debian() { # packages…
    command -v apt-get >/dev/null || fail "this machine has no apt-get" "install by hand: $*"
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
        fail "root must install $*" "run as root, or install sudo"
    step "Installing Debian packages: $*"
    as_root env LOG="$log" DEBIAN_FRONTEND=noninteractive bash -c '
        set -e
        exec >>"$LOG" 2>&1
        # Installing the packages must not start servers or leave some that the user does not want:
        # a policy forbids starts meanwhile, and no cluster is created.
        policy=/usr/sbin/policy-rc.d cluster=/etc/postgresql-common/createcluster.d/pgbouncer_monitor.conf
        if [ -e "$policy" ]; then policy=; else printf "#!/bin/sh\nexit 101\n" >"$policy"; chmod +x "$policy"; fi
        mkdir -p "${cluster%/*}"; echo "create_main_cluster = false" >"$cluster"
        trap "rm -f $policy $cluster" EXIT
        apt-get update
        apt-get install --yes --no-install-recommends "$@"
        if command -v systemctl >/dev/null; then
            for package in "$@"; do
                case $package in
                    pgbouncer) systemctl disable pgbouncer || true ;;
                    nginx-light) systemctl disable nginx || true ;;
                    haproxy) systemctl disable haproxy || true ;;
                    prometheus) systemctl disable prometheus || true ;;
                esac
            done
        fi' install "$@" || fail "apt-get could not install $*" "read the log above; is the network up?"
}

python_is_usable() { # python
    "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null
}

check_programs() {
    local missing=()
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
    [ -x /usr/sbin/pgbouncer ] || missing+=(pgbouncer)
    [ -x /usr/sbin/nginx ] || missing+=(nginx-light)
    python_is_usable python3 || python_is_usable /usr/bin/python3 || missing+=(python3 python3-venv)
    [ -n "${ODOO_SOURCE:-}" ] || [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] ||
        missing+=(debian-archive-keyring)
    case $purpose in
        test)
            command -v chromium >/dev/null || missing+=(chromium)
            [ -x /usr/sbin/haproxy ] || missing+=(haproxy)
            [ -x /usr/bin/prometheus ] || missing+=(prometheus)
            compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null || missing+=(libfaketime)
            ;;&
        test | lint) command -v npm >/dev/null || missing+=(nodejs npm) ;;
    esac
    [ ${#missing[@]} = 0 ] || install_debian "${missing[@]}"
    python=python3
    python_is_usable python3 || python=/usr/bin/python3
    python_is_usable "$python" || fail "there is no Python 3.11, 3.12 or 3.13 with venv" "install one as python3"
}

debian_mirror() {
    if [ -n "${DEBIAN_MIRROR:-}" ]; then echo "$DEBIAN_MIRROR"; return; fi
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' \
        2>>"$log" | sed -n 1p || true
}

# A private apt that installs nothing: APT_CONFIG for downloads whose signatures are checked.
private_apt() { # suites…
    local mirror
    command -v apt-get >/dev/null || fail "this machine has no apt-get" "set ODOO_SOURCE to an Odoo 19 source"
    mirror=$(debian_mirror)
    if [ -z "$mirror" ]; then
        step "Updating apt to find the Debian mirror"
        as_root apt-get update >>"$log" 2>&1 || true
        mirror=$(debian_mirror)
    fi
    [ -n "$mirror" ] || fail "no Debian mirror in this machine's apt configuration" \
        "set DEBIAN_MIRROR to one, or ODOO_SOURCE to an Odoo 19 source"
    apt=$(mktemp -d "$cache/apt.XXXXXX")
    trap "rm -rf '$apt'" EXIT
    mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$apt/debs"
    : >"$apt/status"
    for suite in "$@"; do
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
    done >"$apt/sources.list"
    cat >"$apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "-";
Dir::State "$apt/state";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
Acquire::Languages "none";
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
CONF
    export APT_CONFIG=$apt/apt.conf
}

unpack() { # folder
    for deb in "$apt"/debs/*.deb; do dpkg-deb -x "$deb" "$1" || return; done
}

fetch_odoo() { # folder
    private_apt unstable bookworm
    step "Downloading Odoo 19 (about 140 MB)"
    (cd "$apt/debs" && apt-get update && apt-get download "${odoo_packages[@]}") >>"$log" 2>&1 ||
        fail "could not download Odoo from the Debian mirror" \
            "is the mirror reachable? set DEBIAN_MIRROR, or ODOO_SOURCE to an Odoo 19 source"
    step "Unpacking Odoo 19"
    unpack "$1"
}

# A suite's servers with the C libraries that they were built for, which differ from this machine's.
fetch_servers() { # suite packages… folder
    local suite=$1 packages=("${@:2:$#-2}") folder=${!#}
    private_apt "$suite"
    step "Downloading ${packages[*]} of Debian $suite"
    (
        # Only PostgreSQL's just-in-time compiler needs LLVM.
        cd "$apt/debs" && apt-get update &&
            apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
                --no-enhances "${packages[@]}" |
            grep -E '^lib' | grep -vE '^lib(llvm|z3)|-perl$|^libpython|-dev$' | sort -u >../libraries &&
            apt-get download "${packages[@]}" $(cat ../libraries)
    ) >>"$log" 2>&1 || fail "could not download ${packages[*]}" "is Debian $suite on the mirror? set DEBIAN_MIRROR"
    unpack "$folder"
}

make_venv() { # folder
    step "Installing the Python packages (about 100)"
    { "$python" -m venv "$1" && "$1/bin/pip" install --quiet --requirement stack/requirements.txt; } \
        >>"$log" 2>&1 || fail "could not install the Python packages" "read the log above; is PyPI reachable?"
}

# The benchmarks compare samples with them. The libraries are the newest, because those that they require are too
# old for this Python.
fetch_exporters() { # folder
    private_apt bookworm
    step "Downloading Prometheus's exporters"
    {
        (cd "$apt/debs" && apt-get update && apt-get download prometheus-postgres-exporter) && unpack "$1" &&
            "$python" -m venv "$1/venv" &&
            "$1/venv/bin/pip" install --quiet --no-deps prometheus-pgbouncer-exporter==2.1.2 prometheus-client \
                psycopg2-binary python-json-logger==2.0.7 PyYAML
    } >>"$log" 2>&1 || fail "could not download Prometheus's exporters" "are the Debian mirror and PyPI reachable?"
}

fetch_addons() { # folder
    step "Downloading the OCA's addons"
    {
        "$python" -m pip install --quiet --no-deps --target "$1" "${oca_addons[@]}" &&
            "$python" -m pip install --quiet --no-deps --target "$1/libraries" "${oca_libraries[@]}"
    } >>"$log" 2>&1 || fail "could not download ${oca_addons[*]}" "read the log above; is PyPI reachable?"
}

fetch_page_tools() { # folder
    step "Downloading ${page_tools[*]}"
    npm install --prefix "$1" --no-audit --no-fund "${page_tools[@]}" >>"$log" 2>&1 ||
        fail "could not download ${page_tools[*]}" "read the log above; is the npm registry reachable?"
}

make_node() { # folder
    step "Installing the JavaScript checkers"
    mkdir -p "$1"
    cp stack/lint/*.js* "$1"
    npm ci --prefix "$1" --no-audit --no-fund >>"$log" 2>&1 ||
        fail "could not install the JavaScript checkers" "read the log above; is the npm registry reachable?"
}

cached() { # name maker link: makes $cache/name once, completely or not at all, and links it
    local folder=$cache/$1
    (
        flock 9 # a second checkout waits, and then uses the first one's
        if [ ! -e "$folder/.complete" ]; then
            rm -rf "$folder" && $2 "$folder" && touch "$folder/.complete"
        fi
    ) 9>"$cache/lock" || return
    ln -sfn "$folder" "$stack/$3"
}
key() { sha256sum | cut -c 1-12; }

check_programs
if [ -n "${ODOO_SOURCE:-}" ]; then
    [ -d "$ODOO_SOURCE/odoo" ] || fail "ODOO_SOURCE=$ODOO_SOURCE has no folder odoo/" "set it to an Odoo 19 source"
    ln -sfn "$(realpath "$ODOO_SOURCE")" "$stack/odoo"
else
    cached "odoo-19-$(echo "${odoo_packages[@]}" | key)" fetch_odoo odoo
fi
cached "venv-$({ "$python" -VV; cat stack/requirements.txt; } | key)" make_venv venv
if [ "$purpose" = test ]; then
    # Tests of a version that could not be downloaded are skipped, with the reason.
    for servers in "${server_packages[@]}"; do
        suite=${servers%% *}
        cached "servers-$(echo "$servers" | key)" "fetch_servers $servers" "servers-$suite" || rm -f "$stack/servers-$suite"
    done
    cached "addons-$(echo "${oca_addons[@]}" "${oca_libraries[@]}" | key)" fetch_addons addons
    cached "pages-$(echo "${page_tools[@]}" | key)" fetch_page_tools pages
fi
[ "$purpose" != bench ] || cached exporters-1 fetch_exporters exporters
[ "$purpose" != lint ] || cached "node-$(cat stack/lint/*.js* | key)" make_node node
