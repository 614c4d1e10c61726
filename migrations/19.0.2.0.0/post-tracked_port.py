"""The chatter shows ports as text, without a thousands separator: also those of earlier changes."""


def migrate(cr, version):
    cr.execute(
        """
        UPDATE mail_tracking_value AS value
           SET field_id = tracked_port.id,
               old_value_char = NULLIF(value.old_value_integer, 0)::text,
               new_value_char = NULLIF(value.new_value_integer, 0)::text
          FROM ir_model_fields AS port
          JOIN ir_model_fields AS tracked_port
            ON tracked_port.model = port.model AND tracked_port.name = 'tracked_port'
         WHERE value.field_id = port.id AND port.model = 'connection.endpoint' AND port.name = 'port'
        """
    )
