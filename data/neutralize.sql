-- A copy must not query the servers of the production system, nor keep their passwords.
UPDATE connection_endpoint
   SET active = active AND kind = 'postgresql',
       host = CASE kind WHEN 'pgbouncer' THEN host END,
       stored_password = NULL;
-- It must not send reminders of the production's alerts either.
UPDATE connection_alert
   SET closed_at = now() AT TIME ZONE 'UTC',
       duration = EXTRACT(EPOCH FROM now() AT TIME ZONE 'UTC' - opened_at),
       ending = 'archived',
       reported_level = 'ok'
 WHERE closed_at IS NULL;
DELETE FROM mail_activity WHERE res_model = 'connection.endpoint';
DELETE FROM ir_config_parameter
 WHERE key IN ('pgbouncer_monitor.alert_channel_id', 'pgbouncer_monitor.standstill');
-- What was found concerns the production system.
DELETE FROM connection_advice;
DELETE FROM ir_config_parameter WHERE key = 'pgbouncer_monitor.advice';
DELETE FROM connection_metrics;
DELETE FROM connection_refusal_folder;
DELETE FROM connection_refusal_total;
