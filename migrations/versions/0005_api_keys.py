"""LiveKit key pairs of organisations."""

from auralink.kit.migrations import run_sql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run_sql("""
    set local lock_timeout = '5s';

    create table livekit_api_keys (
      id uuid primary key,
      org_id uuid not null constraint livekit_api_keys_org_id_fkey references organizations on delete cascade,
      api_key text not null constraint livekit_api_keys_api_key_key unique,
      name text not null,
      sealed_secret bytea not null,
      former_sealed_secret bytea,
      former_valid_until timestamptz,
      webhook_urls text[] not null,
      created_by uuid constraint livekit_api_keys_created_by_fkey references users on delete set null,
      created_at timestamptz not null,
      rotated_at timestamptz,
      revoked_at timestamptz,
      constraint livekit_api_keys_api_key_check check (length(api_key) between 6 and 64),
      constraint livekit_api_keys_name_check check (length(name) between 1 and 100),
      constraint livekit_api_keys_webhook_urls_check check (cardinality(webhook_urls) <= 5),
      constraint livekit_api_keys_former_check check ((former_sealed_secret is null) = (former_valid_until is null))
    );
    create index livekit_api_keys_org_id_idx on livekit_api_keys (org_id);
    create index livekit_api_keys_org_id_id_idx on livekit_api_keys (org_id, id) where revoked_at is null;
    create index livekit_api_keys_created_by_idx on livekit_api_keys (created_by);

    alter table livekit_api_keys enable row level security;
    alter table livekit_api_keys force row level security;
    create policy livekit_api_keys_of_tenant on livekit_api_keys
      using ((select app_is_system()) or org_id = any ((select app_org_ids())::uuid[]));
    grant select, insert, update on livekit_api_keys to auralink_app;
    """)


def downgrade() -> None:
    run_sql("""
    set local lock_timeout = '5s';
    drop table livekit_api_keys;
    """)
