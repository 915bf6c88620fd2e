"""Organisations and memberships."""

from auralink.kit.migrations import run_sql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_sql("""
    set local lock_timeout = '5s';

    create table organizations (
      id uuid primary key,
      name text not null,
      kind text not null,
      personal_of uuid constraint organizations_personal_of_fkey references users on delete restrict,
      created_at timestamptz not null,
      constraint organizations_personal_of_key unique (personal_of),
      constraint organizations_name_check check (length(name) between 1 and 100),
      constraint organizations_kind_check check (kind in ('personal', 'team')),
      constraint organizations_personal_check check ((kind = 'personal') = (personal_of is not null))
    );

    create table memberships (
      org_id uuid not null constraint memberships_org_id_fkey references organizations on delete cascade,
      user_id uuid not null constraint memberships_user_id_fkey references users on delete cascade,
      role text not null,
      created_at timestamptz not null,
      primary key (org_id, user_id),
      constraint memberships_role_check check (role in ('owner', 'admin', 'member'))
    );
    create index memberships_user_id_idx on memberships (user_id);

    alter table organizations enable row level security;
    alter table organizations force row level security;
    create policy organizations_of_members on organizations
      using ((select app_is_system()) or id = any ((select app_org_ids())::uuid[]));

    alter table memberships enable row level security;
    alter table memberships force row level security;
    create policy memberships_read on memberships for select
      using ((select app_is_system()) or org_id = any ((select app_org_ids())::uuid[]));
    create policy memberships_write on memberships
      using ((select app_is_system()));

    grant select, insert, update on organizations to auralink_app;
    grant select, insert, update, delete on memberships to auralink_app;
    """)


def downgrade() -> None:
    run_sql("""
    set local lock_timeout = '5s';
    drop table memberships;
    drop table organizations;
    """)
