"""Comparisons of two versions of a script over recorded inputs, and their verdicts."""

from pathlib import Path

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE comparisons (
            id               uuid PRIMARY KEY,
            tenant_id        uuid NOT NULL REFERENCES tenants (id),
            script_id        uuid NOT NULL,
            from_version     integer NOT NULL,
            to_version       integer NOT NULL,
            priority         smallint NOT NULL,
            batch_id         uuid NOT NULL,
            inputs           integer NOT NULL CHECK (inputs > 0),
            erased           integer NOT NULL CHECK (erased >= 0),
            state            text NOT NULL DEFAULT 'running'
                             CHECK (state IN ('running', 'finished')),
            lease_expires_at timestamptz NOT NULL DEFAULT '-infinity',
            created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
            finished_at      timestamptz,
            same             integer NOT NULL DEFAULT 0,
            differing        integer NOT NULL DEFAULT 0,
            newly_failed     integer NOT NULL DEFAULT 0,
            newly_fixed      integer NOT NULL DEFAULT 0,
            undecided        integer NOT NULL DEFAULT 0,
            from_cpu_ms      double precision,
            to_cpu_ms        double precision,
            clean            boolean NOT NULL GENERATED ALWAYS AS (
                state = 'finished' AND same > 0
                AND differing + newly_failed + newly_fixed + undecided = 0
            ) STORED,
            FOREIGN KEY (script_id, from_version) REFERENCES script_versions (script_id, version),
            FOREIGN KEY (script_id, to_version) REFERENCES script_versions (script_id, version),
            CHECK ((state = 'finished') = (finished_at IS NOT NULL)),
            CHECK (state = 'running' OR
                   same + differing + newly_failed + newly_fixed + undecided = inputs)
        )
    """)
    op.execute("""
        COMMENT ON TABLE comparisons IS
            'comparisons of two versions of a script over recorded inputs'
    """)
    op.execute("""
        COMMENT ON COLUMN comparisons.lease_expires_at IS
            'until when a worker compares the results; only then another one may'
    """)
    op.execute("""
        COMMENT ON COLUMN comparisons.clean IS 'something was compared, and everything is the same'
    """)
    op.execute("""
        CREATE INDEX comparisons_running_idx ON comparisons (id) WHERE state = 'running'
    """)
    op.execute("CREATE INDEX comparisons_finished_idx ON comparisons (tenant_id, finished_at)")
    op.execute("CREATE INDEX comparisons_created_idx ON comparisons (created_at)")
    # No key references executions: retention deletes them, and the outcome stays.
    op.execute("""
        CREATE TABLE comparison_items (
            comparison_id     uuid NOT NULL REFERENCES comparisons (id) ON DELETE CASCADE,
            position          integer NOT NULL CHECK (position > 0),
            tenant_id         uuid NOT NULL REFERENCES tenants (id),
            execution_id      uuid NOT NULL,
            from_execution_id uuid NOT NULL,
            to_execution_id   uuid NOT NULL,
            outcome           text CHECK (outcome IN ('same', 'differing', 'newly_failed',
                                                      'newly_fixed', 'undecided')),
            changes           bytea,
            PRIMARY KEY (comparison_id, position),
            CHECK (changes IS NULL OR outcome = 'differing')
        )
    """)
    op.execute("""
        COMMENT ON TABLE comparison_items IS
            'the inputs of comparisons, the executions of both versions and how they compare'
    """)
    op.execute("""
        COMMENT ON COLUMN comparison_items.changes IS
            'where two results differ, as MessagePack; erased with the data of either execution'
    """)
    for side in ("from", "to"):
        op.execute(f"""
            CREATE INDEX comparison_items_{side}_idx ON comparison_items ({side}_execution_id)
            WHERE changes IS NOT NULL
        """)
    op.execute((_SQL / "erase_changes.sql").read_text(encoding="utf-8"))
    op.execute("""
        CREATE TRIGGER payloads_erase_changes
        AFTER UPDATE OF erased_at ON payloads
        FOR EACH ROW WHEN (NEW.kind = 'input' AND OLD.erased_at IS NULL
                           AND NEW.erased_at IS NOT NULL)
        EXECUTE FUNCTION erase_changes()
    """)
    op.execute("""
        CREATE TRIGGER payloads_delete_changes
        AFTER DELETE ON payloads
        FOR EACH ROW WHEN (OLD.kind = 'input')
        EXECUTE FUNCTION erase_changes()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER payloads_delete_changes ON payloads")
    op.execute("DROP TRIGGER payloads_erase_changes ON payloads")
    op.execute("DROP FUNCTION erase_changes")
    op.execute("DROP TABLE comparison_items")
    op.execute("DROP TABLE comparisons")
