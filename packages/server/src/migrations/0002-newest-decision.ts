import { type Kysely, sql } from 'kysely'

/**
 * Refusals are ordered by numbers, addresses remember what their owners refused, and merged people are found under their
 * old ids (docs/decisions/0025-decisions-have-numbers.md).
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS.split(/;\s*\n\s*\n/)) {
    if (statement.trim() !== '') await sql.raw(statement).execute(db)
  }
}

const STATEMENTS = `
create sequence decision_number;

-- people -------------------------------------------------------------------------------------------------------------

alter table profile
  add column decided bigint not null default 0,
  add column refusals json not null default '{}';

update profile set refusals = json_build_object('level', nextval('decision_number')) where refused_at is not null;

create table profile_moved (
  shard smallint not null,
  id bigint not null,
  profile_id bigint not null,
  salt bytea not null,
  at timestamptz not null,
  primary key (shard, id)
);

create index profile_moved_to on profile_moved (profile_id);

-- who left what, by name ---------------------------------------------------------------------------------------------

alter table list_left add column list_name text, add column number bigint not null default 0;

update list_left set list_name = list.name, number = nextval('decision_number') from list where list.id = list_id;

delete from list_left where list_name is null or via in ('flow', 'import', 'bounce', 'purchase', 'system');

alter table list_left drop constraint list_left_pkey;

alter table list_left drop column list_id;

alter table list_left add primary key (shard, profile_id, list_name);

create table list_removed (
  list_id int primary key,
  name text not null,
  actor text,
  at timestamptz not null
);

alter table template add column public_name text;

update template set public_name = coalesce(
  (select nullif(r.fields ->> 'public_name', '') from template_revision r where r.id = template.revision_id), name);

alter table template alter column public_name set not null;

alter table template_optout add column number bigint not null default 0;

update template_optout o set number = nextval('decision_number'),
  public_name = coalesce(nullif(o.public_name, ''), t.public_name)
from template t where t.id = o.template_id;

update profile p set decided = greatest(coalesce((p.refusals ->> 'level')::bigint, 0),
  coalesce((select max(number) from list_left l where l.shard = p.shard and l.profile_id = p.id), 0),
  coalesce((select max(number) from template_optout o where o.shard = p.shard and o.profile_id = p.id), 0))
where refused_at is not null
  or exists (select from list_left l where l.shard = p.shard and l.profile_id = p.id)
  or exists (select from template_optout o where o.shard = p.shard and o.profile_id = p.id);

-- the memory of addresses --------------------------------------------------------------------------------------------

alter table remembered_person rename to remembered_address;

alter table remembered_address add column wishes json not null default '{}';

update remembered_address r set wishes = json_build_object(
  'level', r.level,
  'refusedAt', r.refused_at,
  'complainedAt', r.complained_at,
  'refusals', case when r.refused_at is null then '{}'::json
    else json_build_object('level', nextval('decision_number')) end,
  'templates', coalesce((select json_agg(json_build_array(t.id, t.public_name, r.at, 'api', 0))
    from json_array_elements_text(r.template_optouts) one(id) join template t on t.id = one.id::int), '[]'::json));

alter table remembered_address
  drop column level, drop column template_optouts, drop column complained_at, drop column refused_at;

create table returned_address (
  shard smallint not null,
  address_hmac bytea not null,
  profile_id bigint not null,
  primary key (shard, address_hmac)
);

alter table message add column address_hmac bytea;

-- signals ------------------------------------------------------------------------------------------------------------

alter table signal add column as_of bigint not null default 0;
`
