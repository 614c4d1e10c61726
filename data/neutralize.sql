-- A copy must not go on asking the production's servers, nor hold their passwords.
UPDATE connection_endpoint
   SET active = active AND kind = 'postgresql',
       host = CASE kind WHEN 'pgbouncer' THEN host END,
       stored_password = NULL;
-- Nor remind anybody of the production's alerts.
UPDATE connection_alert
   SET closed_at = now() AT TIME ZONE 'UTC',
       duration = EXTRACT(EPOCH FROM now() AT TIME ZONE 'UTC' - opened_at),
       ending = 'archived',
       told_level = 'ok'
 WHERE closed_at IS NULL;
DELETE FROM mail_activity WHERE res_model = 'connection.endpoint';
DELETE FROM ir_config_parameter WHERE key = 'pgbouncer_monitor.alert_channel_id';
