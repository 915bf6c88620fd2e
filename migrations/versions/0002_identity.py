"""Accounts, credentials, sessions, sign-up invitations."""

from auralink.kit.migrations import run_sql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run_sql("""
    set local lock_timeout = '5s';

    create table users (
      id uuid primary key,
      email text not null constraint users_email_key unique,
      name text not null,
      aura_name text not null constraint users_aura_name_key unique,
      aura_skeleton text not null constraint users_aura_skeleton_key unique,
      instance_role text not null,
      suspended_at timestamptz,
      created_at timestamptz not null,
      updated_at timestamptz not null,
      constraint users_email_check check (email = lower(email) and length(email) between 3 and 254),
      constraint users_name_check check (length(name) between 1 and 100),
      constraint users_aura_name_check check (length(aura_name) between 3 and 30),
      constraint users_instance_role_check check (instance_role in ('owner', 'user'))
    );
    create unique index users_one_owner_key on users (instance_role) where instance_role = 'owner';

    create table credentials (
      user_id uuid primary key constraint credentials_user_id_fkey references users on delete cascade,
      password_hash text not null,
      changed_at timestamptz not null
    );

    create table session_families (
      id uuid primary key,
      user_id uuid not null constraint session_families_user_id_fkey references users on delete cascade,
      client text not null,
      created_at timestamptz not null,
      expires_at timestamptz not null,
      revoked_at timestamptz,
      revoke_reason text,
      constraint session_families_client_check check (client in ('program', 'web')),
      constraint session_families_revoked_check check ((revoked_at is null) = (revoke_reason is null))
    );
    create index session_families_user_id_idx on session_families (user_id);
    create index session_families_expires_at_idx on session_families (expires_at);
    create index session_families_revoked_at_idx on session_families (revoked_at) where revoked_at is not null;

    create table refresh_tokens (
      token_hash bytea primary key,
      family_id uuid not null constraint refresh_tokens_family_id_fkey references session_families on delete cascade,
      issued_at timestamptz not null,
      used_at timestamptz,
      successor_hash bytea,
      constraint refresh_tokens_token_hash_check check (length(token_hash) = 32),
      constraint refresh_tokens_used_check check ((used_at is null) = (successor_hash is null))
    );
    create index refresh_tokens_family_id_idx on refresh_tokens (family_id);
    create index refresh_tokens_used_at_idx on refresh_tokens (used_at) where used_at is not null;

    create table signup_invitations (
      id uuid primary key,
      code_hash bytea not null constraint signup_invitations_code_hash_key unique,
      created_by uuid not null constraint signup_invitations_created_by_fkey references users on delete cascade,
      created_at timestamptz not null,
      expires_at timestamptz not null,
      used_by uuid constraint signup_invitations_used_by_fkey references users on delete set null,
      used_at timestamptz
    );
    create index signup_invitations_created_by_idx on signup_invitations (created_by);
    create index signup_invitations_used_by_idx on signup_invitations (used_by);

    alter table users enable row level security;
    alter table users force row level security;
    create policy users_themselves on users
      using ((select app_is_system()) or id = (select app_user_id()));

    alter table credentials enable row level security;
    alter table credentials force row level security;
    create policy credentials_of_system on credentials using ((select app_is_system()));

    alter table session_families enable row level security;
    alter table session_families force row level security;
    create policy session_families_of_system on session_families using ((select app_is_system()));

    alter table refresh_tokens enable row level security;
    alter table refresh_tokens force row level security;
    create policy refresh_tokens_of_system on refresh_tokens using ((select app_is_system()));

    alter table signup_invitations enable row level security;
    alter table signup_invitations force row level security;
    create policy signup_invitations_of_author on signup_invitations
      using ((select app_is_system()) or created_by = (select app_user_id()));

    grant select, insert, update on users to auralink_app;
    grant select, insert, update on credentials to auralink_app;
    grant select, insert, update, delete on session_families to auralink_app;
    grant select, insert, update, delete on refresh_tokens to auralink_app;
    grant select, insert, update on signup_invitations to auralink_app;
    """)


def downgrade() -> None:
    run_sql("""
    set local lock_timeout = '5s';
    drop table signup_invitations;
    drop table refresh_tokens;
    drop table session_families;
    drop table credentials;
    drop table users;
    """)
