-- A copy must not go on asking the production's servers, nor hold their passwords.
UPDATE connection_endpoint
   SET active = active AND kind = 'postgresql',
       host = CASE kind WHEN 'pgbouncer' THEN host END,
       stored_password = NULL;
UPDATE connection_rule SET is_on = FALSE;
UPDATE connection_alert SET closed_at = now() AT TIME ZONE 'UTC', ending = 'off', told_level = 'ok' WHERE closed_at IS NULL;
