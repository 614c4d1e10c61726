from odoo import api, fields, models

# What of SHOW CONFIG is shown: how PgBouncer pools, waits, listens and logs. A setting that is
# not named here is left out, above all what may hold a secret: auth_ldap_options shows the
# password of the directory in clear.
KEYS = frozenset(
    """
    admin_users application_name_add_host auth_type autodb_idle_timeout cancel_wait_timeout client_idle_timeout
    client_login_timeout client_tls_protocols client_tls_sslmode conffile default_pool_size disable_pqexec
    dns_max_ttl dns_nxdomain_ttl dns_zone_check_period idle_transaction_timeout ignore_startup_parameters job_name
    listen_addr listen_backlog listen_port log_connections log_disconnections log_pooler_errors log_stats logfile
    max_client_conn max_db_client_connections max_db_connections max_packet_size max_prepared_statements
    max_user_client_connections max_user_connections min_pool_size peer_id pidfile pkt_buf pool_mode
    query_timeout query_wait_notify query_wait_timeout reserve_pool_size reserve_pool_timeout resolv_conf sbuf_loopcnt
    server_check_delay server_check_query server_connect_timeout server_fast_close server_idle_timeout
    server_lifetime server_login_retry server_reset_query server_reset_query_always server_round_robin
    server_tls_protocols server_tls_sslmode service_name so_reuseport stats_period stats_users suspend_timeout syslog
    syslog_facility syslog_ident tcp_defer_accept tcp_keepalive tcp_keepcnt tcp_keepidle tcp_keepintvl
    tcp_socket_buffer tcp_user_timeout track_extra_parameters transaction_timeout unix_socket_dir unix_socket_group
    unix_socket_mode user verbose
    """.split()
)


class PgbouncerSetting(models.Model):
    """One row of SHOW CONFIG: a setting that PgBouncer works with. Not all of them: see KEYS."""

    _name = "pgbouncer.setting"
    _inherit = "pgbouncer.show"
    _description = "PgBouncer Setting"
    _auto = False
    _rec_name = "key"
    _order = "endpoint_id, key"
    _show_commands = ("SHOW CONFIG",)
    _show_key = ("key",)

    key = fields.Char("Setting", readonly=True, help="Its name in pgbouncer.ini.")
    value = fields.Char(readonly=True, help="As PgBouncer says it: without a unit.")
    default = fields.Char(readonly=True, help="What it is if pgbouncer.ini does not set it.")
    changeable = fields.Char(readonly=True, help="no: takes effect at the next start, not at RELOAD.")
    is_changed = fields.Boolean("Not the Default", readonly=True, help="Whether the value is another than the default.")

    @api.model
    def _make_rows(self, endpoint_id, rows):
        made = super()._make_rows(endpoint_id, [row for row in rows if row.get("key") in KEYS])
        for row in made:
            row["is_changed"] = (row.get("value") or "") != (row.get("default") or "")
        return made
