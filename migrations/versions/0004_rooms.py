"""Rooms, invites, and what happened in rooms: sessions, participants, tracks."""

from auralink.kit.migrations import run_sql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run_sql("""
    set local lock_timeout = '5s';

    create table rooms (
      id uuid primary key,
      org_id uuid not null constraint rooms_org_id_fkey references organizations on delete cascade,
      created_by uuid constraint rooms_created_by_fkey references users on delete set null,
      name text not null,
      join_policy text not null,
      max_participants integer not null,
      empty_timeout_seconds integer not null,
      metadata text not null,
      created_at timestamptz not null,
      updated_at timestamptz not null,
      deleted_at timestamptz,
      constraint rooms_id_org_id_key unique (id, org_id),
      constraint rooms_name_check check (length(name) between 1 and 100),
      constraint rooms_join_policy_check check (join_policy in ('members', 'invite', 'open')),
      constraint rooms_max_participants_check check (max_participants between 1 and 10000),
      constraint rooms_empty_timeout_seconds_check check (empty_timeout_seconds between 0 and 86400),
      constraint rooms_metadata_check check (octet_length(metadata) <= 4096)
    );
    create index rooms_org_id_id_idx on rooms (org_id, id) where deleted_at is null;
    create index rooms_org_id_idx on rooms (org_id);
    create index rooms_created_by_idx on rooms (created_by);

    create table room_invites (
      id uuid primary key,
      room_id uuid not null,
      org_id uuid not null,
      code text not null constraint room_invites_code_key unique,
      created_by uuid constraint room_invites_created_by_fkey references users on delete set null,
      created_at timestamptz not null,
      expires_at timestamptz,
      revoked_at timestamptz,
      constraint room_invites_room_id_fkey
        foreign key (room_id, org_id) references rooms (id, org_id) on delete cascade,
      constraint room_invites_code_check check (length(code) between 20 and 64)
    );
    create index room_invites_room_id_org_id_idx on room_invites (room_id, org_id);
    create index room_invites_created_by_idx on room_invites (created_by);

    create table room_sessions (
      room_id uuid not null,
      sid text not null,
      org_id uuid not null,
      started_at timestamptz not null,
      finished_at timestamptz,
      primary key (room_id, sid),
      constraint room_sessions_room_id_fkey
        foreign key (room_id, org_id) references rooms (id, org_id) on delete cascade
    );
    create index room_sessions_room_id_org_id_idx on room_sessions (room_id, org_id);
    create index room_sessions_open_idx on room_sessions (room_id) where finished_at is null;

    create table room_participants (
      room_id uuid not null,
      sid text not null,
      session_sid text not null,
      org_id uuid not null,
      identity text not null,
      user_id uuid constraint room_participants_user_id_fkey references users on delete set null,
      name text not null,
      kind text not null,
      status text not null,
      joined_at timestamptz not null,
      left_at timestamptz,
      leave_reason text,
      primary key (room_id, sid),
      constraint room_participants_room_id_fkey
        foreign key (room_id, org_id) references rooms (id, org_id) on delete cascade,
      constraint room_participants_session_fkey foreign key (room_id, session_sid)
        references room_sessions (room_id, sid) on delete cascade,
      constraint room_participants_status_check check (status in ('joined', 'left', 'aborted')),
      constraint room_participants_left_check check ((status = 'joined') = (left_at is null))
    );
    create index room_participants_room_id_org_id_idx on room_participants (room_id, org_id);
    create index room_participants_room_id_session_sid_idx on room_participants (room_id, session_sid);
    create index room_participants_user_id_idx on room_participants (user_id);
    create index room_participants_room_id_joined_at_idx on room_participants (room_id, joined_at, sid);

    create table room_tracks (
      room_id uuid not null,
      sid text not null,
      participant_sid text not null,
      org_id uuid not null,
      kind text not null,
      source text not null,
      name text not null,
      mime_type text not null,
      published_at timestamptz not null,
      unpublished_at timestamptz,
      primary key (room_id, sid),
      constraint room_tracks_participant_fkey foreign key (room_id, participant_sid)
        references room_participants (room_id, sid) on delete cascade,
      constraint room_tracks_room_id_fkey
        foreign key (room_id, org_id) references rooms (id, org_id) on delete cascade
    );
    create index room_tracks_room_id_participant_sid_idx on room_tracks (room_id, participant_sid);
    create index room_tracks_room_id_org_id_idx on room_tracks (room_id, org_id);

    create table livekit_webhooks (
      id text primary key,
      received_at timestamptz not null,
      constraint livekit_webhooks_id_check check (length(id) between 1 and 128)
    );
    create index livekit_webhooks_received_at_idx on livekit_webhooks (received_at);
    """)
    for table in ("rooms", "room_invites", "room_sessions", "room_participants", "room_tracks"):
        run_sql(f"""
        alter table {table} enable row level security;
        alter table {table} force row level security;
        create policy {table}_of_tenant on {table}
          using ((select app_is_system()) or org_id = any ((select app_org_ids())::uuid[]));
        grant select, insert, update on {table} to auralink_app;
        """)
    run_sql("""
    alter table livekit_webhooks enable row level security;
    alter table livekit_webhooks force row level security;
    create policy livekit_webhooks_of_system on livekit_webhooks using ((select app_is_system()));
    grant select, insert, delete on livekit_webhooks to auralink_app;
    """)


def downgrade() -> None:
    run_sql("""
    set local lock_timeout = '5s';
    drop table livekit_webhooks;
    drop table room_tracks;
    drop table room_participants;
    drop table room_sessions;
    drop table room_invites;
    drop table rooms;
    """)
