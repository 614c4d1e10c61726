-- A copy must not go on asking the production's PgBouncer, nor hold its passwords.
UPDATE connection_endpoint
   SET active = false,
       stored_password = NULL
 WHERE kind = 'pgbouncer';
