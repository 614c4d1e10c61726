"""Why a level is not OK: stored as facts, shown in the reader's language."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from unittest.mock import patch

from odoo.fields import Domain
from odoo.tests import new_test_user
from odoo.tools.translate import code_translations

from ...probes import query
from ...probes.errors import QueryError
from ..cases import DATABASE, POOL, SampleCase, insert_samples
from ..common import closed_port, endpoint_values

FRENCH = {
    "Not enough data to determine: %s": "Données insuffisantes : %s",
    "%(where)s did not answer within %(seconds)s s.": "%(where)s n'a pas répondu en %(seconds)s s.",
    "Last sample: %s": "Dernier échantillon : %s",
}


class TestReasons(SampleCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["res.lang"]._activate_lang("fr_FR")
        cls.english, cls.french = (
            new_test_user(cls.env, f"reader_{lang}", groups="pgbouncer_monitor.group_viewer", lang=lang)
            for lang in ("en_US", "fr_FR")
        )
        labels = {("connection.rule", "pgbouncer_pressure"): "Connexions de PgBouncer"}
        labels["connection.sample", "pgbouncer_pressure"] = labels["connection.rule", "pgbouncer_pressure"]
        for (model, value), label in labels.items():
            selection = cls.env["ir.model.fields.selection"].search(
                [("field_id.model", "=", model), ("field_id.name", "=", "rule"), ("value", "=", value)]
            )
            selection.with_context(lang="fr_FR").name = label
        cls.env.registry.clear_cache("stable")

    def setUp(self):
        super().setUp()
        real = code_translations.get_python_translations

        def translations(module, lang):
            return FRENCH if (module, lang) == ("pgbouncer_monitor", "fr_FR") else real(module, lang)

        self.patch(code_translations, "get_python_translations", translations)

    def read_as(self, user, record, name):
        self.env.invalidate_all()
        return record.with_user(user).with_context(lang=user.lang)[name]

    def test_words_in_the_readers_language(self):
        """Whatever the language of the user who runs the cron."""
        for lang in ("en_US", "fr_FR"):
            self.Sample = self.Sample.with_context(lang=lang)
            with self.console(lists=[]):
                instance = self.take()[0]
            self.assertIn('reason="Not enough data to determine: PgBouncer Connections"', self.line)
            for record, name in ((instance, "reason"), (self.endpoint, "last_error")):
                reasons = [self.read_as(user, record, name) for user in (self.english, self.french)]
                english, french = reasons
                self.assertEqual(english, "Not enough data to determine: PgBouncer Connections")
                self.assertEqual(french, "Données insuffisantes : Connexions de PgBouncer")

    def test_no_answer(self):
        with patch.object(query, "_query", side_effect=QueryError("timeout")):
            [instance] = self.take()
        self.assertIn("did not answer within 3.0 s.", self.read_as(self.english, instance, "reason"))
        self.assertIn("n'a pas répondu en 3,0 s.", self.read_as(self.french, instance, "reason"))
        self.assertIn("did not answer within 3.0 s.", self.line)
        self.assertEqual(instance.reason_facts["error"]["reason"], "timeout")

    def test_notices(self):
        with self.console(lists=[]):
            self.take()
        for user, texts in (
            (self.english, ("Last sample: ", "Not enough data to determine")),
            (self.french, ("Dernier échantillon :", "Données insuffisantes")),
        ):
            self.env.invalidate_all()
            notices = self.Sample.with_user(user).with_context(lang=user.lang).get_notices()
            for text in texts:
                self.assertIn(text, str(notices))

    def test_notices_of_the_endpoints_of_a_list(self):
        """A list of the samples of one endpoint has only its notice; so have graphs, and other ways to filter."""
        Endpoint = self.env["connection.endpoint"]
        other = Endpoint.create(endpoint_values(name="Lost PgBouncer", port=closed_port()))
        with self.console(lists=[]):
            self.take()
        own, others = f"{self.endpoint.name}: Not enough", "Lost PgBouncer: Not sampled"
        of_own, of_other = ("endpoint_id", "=", self.endpoint.id), ("endpoint_id", "=", other.id)
        for domain, shown in (
            ([], [own, others]),
            ([of_own, ("user", "!=", False)], [own]),
            (["!", of_own], [others]),
            (["|", of_own, ("user", "=", "shop")], [own, others]),
            (["&", of_own, "!", ("user", "=", "shop")], [own]),
            ([("endpoint_id", "ilike", "lost")], [others]),
            ([("endpoint_id", "not ilike", "lost")], [own]),
            ([("endpoint_id", "!=", other.name)], [own]),
            (["!", ("endpoint_id.name", "=", other.name)], [own]),
            (Domain("endpoint_id", "any!", [("id", "=", other.id)]), [own, others]),
            (Domain("endpoint_id", "not any!", [("id", "=", other.id)]), [own, others]),
            ([("endpoint_id.name", "=", self.endpoint.name)], [own]),
            ([("endpoint_id", "in", [other.id, self.endpoint.id])], [own, others]),
        ):
            read = (
                self.Sample.get_notices(domain),
                self.Sample.web_search_read(domain=domain, specification={})["reading"]["notices"],
                self.Sample.web_read_group(domain=domain, groupby=["level"])["reading"]["notices"],
            )
            for notices in read:
                self.assertEqual([text for text in (own, others) if text in str(notices)], shown, domain)
        notices = [self.env["pgbouncer.pool"].get_notices([leaf]) for leaf in (of_own, of_other)]
        self.assertEqual(list(map(len, notices)), [0, 1])
        for leaf, is_shown in ((of_own, False), (of_other, True), (("query", "ilike", "x"), True)):
            notices = self.env["pg.stat.activity"].get_notices([leaf])
            self.assertEqual("Lost PgBouncer" in str(notices), is_shown, leaf)

    def test_facts(self):
        with self.console(databases=[DATABASE | {"max_connections": 5}], pools=[POOL | {"cl_waiting": 1}]):
            instance, _pool, database = self.take()
        self.assertEqual(database.reason_facts, {"rule": "pgbouncer_pressure", "value": 80})
        self.assertEqual(instance.reason_facts, {"rule": "pgbouncer_pressure", "value": 80, "database": "shop"})
        self.assertEqual(instance.reason, "shop: PgBouncer Connections: 80 %")
        self.assertEqual(self.endpoint.last_error, instance.reason)
        self.assertEqual(self.read_as(self.french, database, "reason"), "Connexions de PgBouncer: 80 %")
        with self.console():
            for sample in self.take():
                self.assertEqual((sample.rule, sample.reason_facts, sample.reason), (False, False, False))

    def test_filter_and_group_by_rule(self):
        pools = [POOL | {"cl_waiting": 1, "maxwait_us": 1}]
        with self.console(databases=[DATABASE | {"max_connections": 5}], pools=pools):
            samples = self.take()
        found = self.Sample.search([("rule", "=", "pgbouncer_pressure"), ("id", "in", samples.ids)])
        self.assertEqual(found, (samples[0] + samples[2]).sorted())
        groups = dict(self.Sample._read_group([("id", "in", samples.ids)], ["rule"], ["__count"]))
        self.assertEqual(groups, {"pgbouncer_pressure": 2, False: 1})

    def test_words_of_each_code(self):
        login = POOL | {"sv_active": 0, "sv_login": 1, "cl_waiting": 1}
        for pools, databases, texts in (
            ([POOL], [], ("Not enough data to determine: Pressure (%)", "treats this database as unused")),
            ([login], [DATABASE], ("PostgreSQL does not answer",)),
            ([login], [], ("PostgreSQL does not answer", "treats this database as unused")),
        ):
            with self.console(pools=pools, databases=databases):
                instance, pool = self.take()
            for text in texts:
                self.assertIn(text, pool.reason)
            self.assertEqual(instance.reason, f"shop/shop: {pool.reason}")
        for code, params, text in (
            ("hidden", {"count": 2, "role": "odoo"}, "Hidden sessions of other roles: 2."),
            ("untracked", {"count": 1, "remedy": "ALTER ROLE x;"}, "takes effect in new sessions: ALTER ROLE x;"),
        ):
            reason = self.postgresql._reason_text({"rule": "xact_age", "code": code, "params": params})
            self.assertIn(text, reason)

    def test_hour_has_the_reason_of_its_worst_sample(self):
        self.Sample.search([]).sudo().unlink()
        values = {"endpoint_id": self.endpoint.id, "period": "minute", "sample_count": 1}
        facts = {"rule": "maxwait", "value": 7}
        insert_samples(
            self.env,
            values | {"sampled_at": "2026-03-02 10:00:00", "level": "ok"},
            values | {"sampled_at": "2026-03-02 10:01:00", "level": "unknown", "reason_facts": {"text": "Zzz"}},
            values
            | {"sampled_at": "2026-03-02 10:02:00", "level": "critical", "rule": "maxwait", "reason_facts": facts},
            values
            | {"sampled_at": "2026-03-02 10:03:00", "level": "warning", "rule": "maxwait"}
            | {"reason_facts": {"rule": "maxwait", "value": 2}},
        )
        self.Sample._gc_minutes()
        [hour] = self.Sample.search([])
        self.assertEqual((hour.level, hour.rule, hour.reason_facts), ("critical", "maxwait", facts))
        self.assertEqual(hour.reason, "Longest Wait: 7 s")

    def test_sentences_of_older_versions_stay(self):
        path = Path(__file__).parents[2] / "migrations/19.0.2.0.0/post-history.py"
        spec = spec_from_file_location("post_history", path)
        migration = module_from_spec(spec)
        spec.loader.exec_module(migration)
        samples = self.take()
        self.env.cr.execute("ALTER TABLE connection_sample ADD COLUMN IF NOT EXISTS reason varchar")
        self.env.cr.execute("UPDATE connection_sample SET reason = 'It was “frozen”.' WHERE id = %s", [samples[0].id])
        for _time in range(2):  # also where there is nothing to do
            migration.migrate(self.env.cr, "19.0.1.1.0")
        self.env.invalidate_all()
        self.assertEqual(samples[:2].mapped("reason"), ["It was “frozen”.", False])
        self.assertEqual(self.read_as(self.french, samples[0], "reason"), "It was “frozen”.")
        self.assertFalse(samples[1].reason_facts)
