-- A copy must not go on asking the production's servers, nor hold their passwords.
UPDATE connection_endpoint
   SET active = active AND kind = 'postgresql',
       host = CASE kind WHEN 'pgbouncer' THEN host END,
       stored_password = NULL;
