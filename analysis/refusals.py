"""What kind of refusal an error of a database connection is: of a connection of Odoo's own, see `recorder`."""

import errno
import os
import re

# The kinds, in the order in which they are shown.
KINDS = ("pool_full", "slots_reserved", "max_client_conn", "query_wait_timeout", "closed", "unreachable", "other")

# PostgreSQL's error codes, the same in every language. When a connection is refused, libpq reports none.
SQLSTATES = {
    "53300": "slots_reserved",  # too_many_connections
    "57P01": "closed",  # admin_shutdown
    "57P02": "closed",  # crash_shutdown
    "57P03": "unreachable",  # cannot_connect_now
    "57P05": "closed",  # idle_session_timeout
    "25P03": "closed",  # idle_in_transaction_session_timeout
    "25P04": "closed",  # transaction_timeout
}
# What PostgreSQL reports without a code when it has no connection left, in the languages that it is translated to.
# A name follows where the text breaks off.
FULL = (
    *("connection slots are reserved", "too many clients already", "too many connections for"),
    *("Verbindungen sind für", "schon zu viele Verbindungen", "zu viele Verbindungen von", "zu viele Verbindungen für"),
    *("las conexiones restantes están", "demasiados clientes", "demasiadas conexiones para"),
    *("emplacements de connexions restants", "trop de clients", "trop de connexions pour"),
    *("i rimanenti slot di connessione", "troppi client", "troppe connessioni"),
    *("残りの接続", "クライアント数が多すぎます", "接続が多すぎます"),
    *("დარჩენილი მიერთების სლოტები", "უკვე მეტისმეტად ბევრი", "მეტისმეტად ბევრი კავშირი", "ძალიან ბევრი კავშირი"),
    *("남은 연결 슬롯", "최대 동시 접속자 수", "최대 동시 접속수", "최대 접속수"),
    *("оставшиеся слоты подключений", "слишком много клиентов", "слишком много подключений"),
    *("resterande anslutningsslottar", "för många klienter", "för många uppkopplingar"),
    *("слоти підключен", "забагато клієнтів", "багато підключень до", "багато підключень для"),
    *("已保留的连接位置", "已经有太多的客户", "的连接太多了", "剩余连接槽位", "客户端连接过多", "的连接过多"),
    *("剩餘的連線槽位", "客戶端過多", "的連線太多"),
    *("pozostałe gniazda połączeń", "zbyt wiele klientów", "zbyt wiele połączeń"),
    *("encaixes de conexão restantes", "muitos clientes conectados", "muitas conexões para"),
    *("kalan bağlantı sayısı", "istemci sayısı çok fazla", "bağlantı sayısı aşılmıştır"),
    *("slot koneksi yang tersisa", "terlalu banyak klien", "terlalu banyak koneksi"),
)
# It starts, stops or recovers.
NOT_READY = (
    *("the database system is", "das Datenbanksystem", "el sistema de base", "le système de base"),
    *("il database si sta", "il database è in", "il sistema di database", "データベースシステム"),
    *("მონაცემთა ბაზის სისტემ", "데이터베이스 시스템"),
    *("система баз данных", "система БД", "databassystemet", "система бази даних", "数据库系统", "資料庫系統"),
    *("system bazy danych", "sistema de banco de dados", "veritabanı kapatılıyor", "veritabanı başlatılıyor"),
    *("veritabanı kurtarma", "sistem database"),
)
# PostgreSQL has no database of this name.
NO_DATABASE = (
    *('database ".*" does not exist', "Datenbank ».*« existiert nicht", "no existe la base de datos «.*»"),
    *("la base de données « .* » n'existe pas", 'il database ".*" non esiste', 'データベース".*"は存在しません'),
    *('მონაცემთა ბაზა ".*" არ არსებობს', '".*" 데이터베이스 없음', 'база данных ".*" не существует'),
    *('databasen ".*" existerar inte', 'бази даних ".*" не існує', '数据库 ".*" 不存在', '資料庫 ".*" 不存在'),
    *('baza danych ".*" nie istnieje', 'banco de dados ".*" não existe', '".*" veritabanı mevcut değil'),
    "database « .* » tidak ada",
)
# PgBouncer's messages are always English, and so are libpq's in Odoo, which sets no locale. The first match counts.
TEXTS = (
    ("no more connections allowed", "max_client_conn"),
    ("max_client_conn", "max_client_conn"),
    ("max_user_client_connections", "max_client_conn"),
    ("max_db_client_connections", "max_client_conn"),
    ("client connections exceeded", "max_client_conn"),
    ("query_wait_timeout", "query_wait_timeout"),
    *((text, "slots_reserved") for text in FULL),
    *((text, "unreachable") for text in NOT_READY),
    ("pgbouncer cannot connect to server", "unreachable"),
    ("server login has been failing", "unreachable"),
    ("could not translate host name", "unreachable"),
    ("timeout expired", "unreachable"),
    ("closed the connection unexpectedly", "closed"),
    ("connection already closed", "closed"),
    ("connection has been closed unexpectedly", "closed"),
    ("could not receive data from server", "closed"),
    ("could not send data to server", "closed"),
)
# PgBouncer's answers, and libpq's, also for a database that does not exist, without saying so. Measured: 1.15 passes
# PostgreSQL's message on to the first client only.
VAGUE = {
    *("query_wait_timeout", "pgbouncer cannot connect to server", "server login has been failing"),
    "timeout expired",
}
ERRNOS = {
    errno.ECONNREFUSED: "unreachable",
    errno.ENOENT: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.ETIMEDOUT: "unreachable",
    errno.ECONNRESET: "closed",
}


def refusal_kind(message, code, is_pool_error=False, is_new=False, is_closed=False, is_known=True):
    """Return the kind of refusal that an error of a connection of Odoo's own is, None if it is none: wrong SQL, a
    failed serialization, a lock or statement timeout.

    :param str code: the SQLSTATE, None if there is none
    :param bool is_pool_error: the error is of Odoo's own connection pool
    :param bool is_new: a new connection was refused
    :param bool is_closed: the error ended the connection
    :param bool is_known: the database exists. Whoever names one that does not exist is refused nothing; of one that is
        not known, only what has nothing to do with its name counts.
    """
    if is_pool_error:
        return "pool_full" if "Is Full" in message else None
    if code in SQLSTATES:
        return SQLSTATES[code]
    if code in (None, "08P01", "3D000"):  # of PgBouncer's own messages: protocol_violation
        if any(re.search(pattern, message) for pattern in NO_DATABASE):
            return None
        texts = (*TEXTS, *((os.strerror(number), kind) for number, kind in ERRNOS.items()))
        text, kind = next((found for found in texts if found[0] in message), (None, None))
        if kind:
            return kind if is_known or text not in VAGUE else None
    if is_new:
        return "other" if is_known else None
    return "closed" if is_closed else None


def growth(counts, before):
    """Return by how much counts grew: (host, kind) -> number, without those that did not. None if one is smaller than
    before: the files were deleted, or are those of a backup.

    :param dict counts: host -> kind -> count, and ``before`` likewise. A host that is gone was forgotten.
    """
    grown = {}
    for host, kinds in counts.items():
        last = before.get(host, {})
        for kind in KINDS:
            more = kinds.get(kind, 0) - last.get(kind, 0)
            if more < 0:
                return None
            if more:
                grown[host, kind] = more
    return grown
