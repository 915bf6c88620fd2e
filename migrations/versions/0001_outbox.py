"""Who is asking (row-level security), and the outbox."""

from auralink.kit.migrations import run_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_sql("""
    create function app_org_ids() returns uuid[] language sql stable parallel safe
      as $$ select coalesce(nullif(current_setting('app.org_ids', true), '')::uuid[], '{}') $$;
    create function app_org_id() returns uuid language sql stable parallel safe
      as $$ select nullif(current_setting('app.org_id', true), '')::uuid $$;
    create function app_user_id() returns uuid language sql stable parallel safe
      as $$ select nullif(current_setting('app.user_id', true), '')::uuid $$;
    create function app_room_id() returns uuid language sql stable parallel safe
      as $$ select nullif(current_setting('app.room_id', true), '')::uuid $$;
    create function app_is_system() returns boolean language sql stable parallel safe
      as $$ select coalesce(current_setting('app.role', true) = 'system', false) $$;

    create table outbox_events (
      position bigint generated always as identity primary key,
      id uuid not null unique,
      org_id uuid not null,
      room_id uuid,
      sequence bigint,
      type text not null,
      payload jsonb not null,
      occurred_at timestamptz not null,
      recorded_at timestamptz not null default clock_timestamp(),
      constraint outbox_events_sequence_check check ((room_id is null) = (sequence is null))
    );
    create unique index outbox_events_room_id_sequence_key on outbox_events (room_id, sequence);
    create index outbox_events_org_id_position_idx on outbox_events (org_id, position);
    alter table outbox_events enable row level security;
    alter table outbox_events force row level security;
    create policy outbox_events_of_tenant on outbox_events
      using ((select app_is_system()) or org_id = any ((select app_org_ids())::uuid[]))
      with check ((select app_is_system()) or org_id = any ((select app_org_ids())::uuid[]) or room_id = app_room_id());

    create table outbox_room_sequences (
      room_id uuid primary key,
      org_id uuid not null,
      last bigint not null check (last > 0)
    );
    alter table outbox_room_sequences enable row level security;
    alter table outbox_room_sequences force row level security;
    create policy outbox_room_sequences_of_tenant on outbox_room_sequences
      using ((select app_is_system()) or org_id = any ((select app_org_ids())::uuid[]) or room_id = app_room_id());

    create table outbox_consumers (
      name text primary key,
      position bigint not null check (position >= 0),
      updated_at timestamptz not null
    );

    grant select, insert on outbox_events to auralink_app;
    grant select, insert, update on outbox_room_sequences to auralink_app;
    grant select, insert, update on outbox_consumers to auralink_app;
    """)


def downgrade() -> None:
    run_sql("""
    drop table outbox_consumers;
    drop table outbox_room_sequences;
    drop table outbox_events;
    drop function app_is_system();
    drop function app_room_id();
    drop function app_user_id();
    drop function app_org_id();
    drop function app_org_ids();
    """)
