import { type Kysely, sql } from 'kysely'

/**
 * The first schema. Tables about people begin their primary key with `shard` (see platform/shard.ts), the small shared
 * ones (lists, templates, pages, flows, settings) do not. `json` rather than `jsonb` where customers' data is kept:
 * the order of keys is part of what templates print.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS.split(/;\s*\n\s*\n/)) {
    if (statement.trim() !== '') await sql.raw(statement).execute(db)
  }
}

const STATEMENTS = `
-- account ------------------------------------------------------------------------------------------------------------

create table setting (
  name text primary key,
  value json not null,
  modified_at timestamptz not null
);

create table api_key (
  key text primary key,
  secret text not null,
  created_at timestamptz not null
);

create table signing_key (
  kid smallint primary key,
  secret bytea not null,
  created_at timestamptz not null,
  retired_at timestamptz
);

-- profiles -----------------------------------------------------------------------------------------------------------

create sequence profile_number;

create table profile (
  shard smallint not null,
  id bigint not null,
  email text,
  keys json not null default '{}',
  level smallint not null default 0,
  level_at timestamptz,
  level_via text,
  refused_at timestamptz,
  complained_at timestamptz,
  vars json not null default '{}',
  sms json not null default '{}',
  pixel_consent text,
  created_at timestamptz not null,
  signup_at timestamptz,
  login_at timestamptz,
  optout_at timestamptz,
  ledger_head bytea,
  salt bytea not null,
  primary key (shard, id)
);

create index profile_without_email on profile (shard, id) where email is null;

create table profile_key (
  shard smallint not null,
  kind text not null,
  value text not null,
  profile_id bigint not null,
  primary key (shard, kind, value)
);

create table verified_profile (
  shard smallint not null,
  profile_id bigint not null,
  primary key (shard, profile_id)
);

create table remembered_person (
  shard smallint not null,
  address_hmac bytea not null,
  level smallint not null,
  template_optouts json not null default '[]',
  deliverability text,
  complained_at timestamptz,
  refused_at timestamptz,
  at timestamptz not null,
  primary key (shard, address_hmac)
);

-- lists --------------------------------------------------------------------------------------------------------------

create table list (
  id int generated always as identity primary key,
  hex_id text not null unique,
  name text not null unique,
  public_name text,
  type text not null default 'normal',
  is_primary boolean not null default false,
  query json,
  vars json not null default '{}',
  created_at timestamptz not null,
  sent_at timestamptz
);

create table list_member (
  shard smallint not null,
  profile_id bigint not null,
  list_id int not null,
  joined_at timestamptz not null,
  primary key (shard, profile_id, list_id)
);

create index list_member_by_list on list_member (list_id, shard, profile_id);

create table list_left (
  shard smallint not null,
  profile_id bigint not null,
  list_id int not null,
  left_at timestamptz not null,
  via text not null,
  primary key (shard, profile_id, list_id)
);

-- consent ------------------------------------------------------------------------------------------------------------

create table template_optout (
  shard smallint not null,
  profile_id bigint not null,
  template_id int not null,
  public_name text,
  at timestamptz not null,
  via text not null,
  primary key (shard, profile_id, template_id)
);

create table address (
  shard smallint not null,
  address text not null,
  state text not null,
  class text,
  detail text,
  since timestamptz not null,
  primary key (shard, address)
);

create table blocked_address (
  pattern text primary key,
  kind text not null,
  reason text,
  at timestamptz not null
);

create table wording (
  id text primary key,
  content text not null,
  at timestamptz not null
);

create sequence ledger_number;

create table consent_ledger (
  shard smallint not null,
  id bigint not null,
  profile_id bigint not null,
  address_hmac bytea,
  at timestamptz not null,
  recorded_at timestamptz not null,
  subject text not null,
  from_state text,
  to_state text,
  event text not null,
  via text not null,
  actor text,
  evidence smallint,
  context json not null default '{}',
  prev_hash bytea,
  hash bytea not null,
  primary key (shard, id)
);

create index consent_ledger_by_profile on consent_ledger (shard, profile_id, id);

create index consent_ledger_by_message on consent_ledger (shard, ((context ->> 'message_id')::bigint))
  where context ->> 'message_id' is not null;

create function refuse_ledger_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name;
end $$;

create trigger consent_ledger_append_only before update or delete on consent_ledger
  for each row execute function refuse_ledger_change();

create trigger consent_ledger_no_truncate before truncate on consent_ledger
  for each statement execute function refuse_ledger_change();

create table audit (
  id bigint generated always as identity primary key,
  at timestamptz not null,
  via text not null,
  actor text,
  action text not null,
  subject text not null,
  from_state text,
  to_state text,
  reason text
);

create trigger audit_append_only before update or delete on audit
  for each row execute function refuse_ledger_change();

create trigger audit_no_truncate before truncate on audit
  for each statement execute function refuse_ledger_change();

create table used_token (
  shard smallint not null,
  id text not null,
  profile_id bigint not null,
  purpose text not null,
  used_at timestamptz not null,
  primary key (shard, id)
);

-- templates ----------------------------------------------------------------------------------------------------------

create table template (
  id int generated always as identity primary key,
  name text not null,
  revision_id int not null,
  created_at timestamptz not null,
  modified_at timestamptz not null,
  deleted_at timestamptz
);

create unique index template_name on template (name) where deleted_at is null;

create table template_revision (
  id int generated always as identity primary key,
  template_id int,
  campaign json,
  fields json not null,
  created_at timestamptz not null,
  check ((template_id is null) <> (campaign is null))
);

create index template_revision_by_template on template_revision (template_id, id desc);

-- messages -----------------------------------------------------------------------------------------------------------

create sequence message_number;

create table message (
  shard smallint not null,
  id bigint not null,
  profile_id bigint not null,
  template_id int,
  campaign_id int,
  revision_id int,
  kind text not null,
  origin text not null,
  address text not null,
  vars json not null default '{}',
  options json not null default '{}',
  context json not null default '{}',
  priority smallint not null default 0,
  state text not null,
  scheduled_for timestamptz,
  due_at timestamptz,
  worker_id int,
  attempts smallint not null default 0,
  doubts smallint not null default 0,
  created_at timestamptz not null,
  settled_at timestamptz,
  sent_at timestamptz,
  reason text,
  reply text,
  limit_name text,
  dedupe_key text,
  primary key (shard, id),
  check (template_id is not null or revision_id is not null),
  check ((due_at is not null) = (state in ('queued', 'deferred', 'in_doubt')))
) with (fillfactor = 60);

create index message_due on message (priority, due_at) where due_at is not null and campaign_id is null;

create index message_campaign_due on message (campaign_id, due_at) where due_at is not null and campaign_id is not null;

create unique index message_by_profile on message (shard, profile_id, campaign_id);

create index message_by_campaign on message using brin (campaign_id) with (pages_per_range = 16, autosummarize = on);

create unique index message_dedupe on message (shard, profile_id, dedupe_key) where dedupe_key is not null;

create index message_confirmation on message (lower(address), created_at) where kind = 'optin';

create table delivery_worker (
  id int generated always as identity primary key,
  lease_until timestamptz not null
);

create table delivery_batch (
  id bigint generated always as identity primary key,
  worker_id int not null references delivery_worker (id),
  message_ids bigint[] not null,
  is_attempting boolean not null
);

create table delivery_hold (
  kind text not null,
  value text not null,
  reason text,
  at timestamptz not null,
  primary key (kind, value)
);

create table caught_mail (
  id bigint generated always as identity primary key,
  received_at timestamptz not null,
  mail_from text not null,
  rcpt_to text[] not null,
  subject text not null,
  raw bytea not null
);

-- campaigns ----------------------------------------------------------------------------------------------------------

create table campaign (
  id int generated always as identity primary key,
  name text not null,
  status text not null,
  content json not null,
  plan json not null default '{}',
  list_ids int[] not null,
  suppress_ids int[] not null default '{}',
  scheduled_for timestamptz,
  begins_at timestamptz,
  revision_ids int[] not null default '{}',
  repeat_id int,
  occurs_at timestamptz,
  started_at timestamptz,
  stopped_at timestamptz,
  created_at timestamptz not null,
  modified_at timestamptz not null,
  modified_by text,
  problem text
);

create index campaign_scheduled on campaign (begins_at) where status = 'scheduled';

create index campaign_open on campaign (id) where status in ('sending', 'cancelled') and stopped_at is null;

create unique index campaign_occurrence on campaign (repeat_id, occurs_at) where repeat_id is not null;

create table campaign_fill (
  campaign_id int primary key,
  place int not null default 0,
  after_shard smallint not null default 0,
  after_profile bigint not null default 0,
  turn_at timestamptz
);

create table campaign_repeat (
  id int generated always as identity primary key,
  name text not null,
  status text not null,
  template_id int not null,
  list_ids int[] not null,
  suppress_ids int[] not null default '{}',
  rule json not null,
  plan json not null default '{}',
  next_at timestamptz,
  created_at timestamptz not null,
  created_by text,
  modified_at timestamptz not null,
  modified_by text,
  problem text,
  problem_at timestamptz
);

-- opens and clicks ---------------------------------------------------------------------------------------------------

create sequence message_event_number;

create table message_event (
  shard smallint not null,
  id bigint not null,
  message_id bigint not null,
  campaign_id int,
  profile_id bigint not null,
  type text not null,
  url text,
  link smallint,
  machine boolean not null,
  settled boolean not null default false,
  at timestamptz not null,
  primary key (shard, id)
);

create index message_event_by_message on message_event (shard, message_id, at);

create index message_event_by_profile on message_event (shard, profile_id, at);

create index message_event_by_campaign on message_event (campaign_id, type, at) where campaign_id is not null;

create index message_event_unsettled on message_event (at) where not settled;

create table profile_activity (
  shard smallint not null,
  profile_id bigint not null,
  opened_at timestamptz,
  clicked_at timestamptz,
  opens int not null,
  clicks int not null,
  primary key (shard, profile_id)
);

create table link_act (
  shard smallint not null,
  id bigint not null,
  message_id bigint not null,
  profile_id bigint not null,
  acts json not null,
  clicked_at timestamptz not null,
  due_at timestamptz not null,
  primary key (shard, id)
);

create index link_act_due on link_act (due_at);

-- pages --------------------------------------------------------------------------------------------------------------

create table page (
  id int generated always as identity primary key,
  name text not null unique,
  type text not null,
  html text not null,
  settings json not null default '{}',
  revision int not null default 1,
  created_at timestamptz not null,
  modified_at timestamptz not null
);

-- purchases ----------------------------------------------------------------------------------------------------------

create sequence purchase_number;

create table purchase (
  shard smallint not null,
  id bigint not null,
  profile_id bigint not null,
  is_incomplete boolean not null,
  at timestamptz not null,
  price bigint not null,
  qty bigint not null,
  details json not null,
  first_id bigint,
  message_id bigint,
  campaign_id int,
  primary key (shard, id)
);

create index purchase_by_profile on purchase (shard, profile_id, at desc);

create unique index purchase_cart on purchase (shard, profile_id) where is_incomplete;

create index purchase_by_campaign on purchase (campaign_id, at) where campaign_id is not null;

create table purchase_key (
  shard smallint not null,
  extid text not null,
  purchase_id bigint not null,
  primary key (shard, extid)
);

create index purchase_key_by_purchase on purchase_key (purchase_id);

create table purchase_moved (
  shard smallint not null,
  id bigint not null,
  purchase_id bigint not null,
  primary key (shard, id)
);

-- signals and flows --------------------------------------------------------------------------------------------------

create sequence signal_number;

create table signal (
  shard smallint not null,
  id bigint not null,
  profile_id bigint not null,
  type text not null,
  key text not null,
  payload json not null default '{}',
  source text not null,
  evidence smallint,
  cause json not null default '{}',
  occurred_at timestamptz not null,
  dedupe_key text,
  attempts smallint not null default 0,
  retry_at timestamptz,
  primary key (shard, id)
);

create unique index signal_dedupe on signal (shard, dedupe_key) where dedupe_key is not null;

create table flow (
  id int generated always as identity primary key,
  name text not null unique,
  status text not null,
  is_held boolean not null default false,
  epoch int not null default 1,
  active_version int,
  created_at timestamptz not null,
  modified_at timestamptz not null,
  deleted_at timestamptz
);

create table flow_version (
  flow_id int not null,
  version int not null,
  definition json not null,
  checksum text not null,
  published_at timestamptz not null,
  primary key (flow_id, version)
);

create table flow_trigger (
  type text not null,
  key text not null,
  flow_id int not null,
  version int not null,
  primary key (type, key, flow_id)
);

create table flow_match (
  shard smallint not null,
  signal_id bigint not null,
  flow_id int not null,
  profile_id bigint not null,
  outcome text not null,
  run_id bigint,
  at timestamptz not null,
  primary key (shard, signal_id, flow_id)
);

create table flow_memory (
  shard smallint not null,
  flow_id int not null,
  profile_id bigint not null,
  first_at timestamptz not null,
  last_at timestamptz not null,
  entries int not null,
  primary key (shard, flow_id, profile_id)
);

create sequence flow_run_number;

create table flow_run (
  shard smallint not null,
  id bigint not null,
  flow_id int not null,
  version int not null,
  epoch int not null,
  profile_id bigint not null,
  exclusive boolean not null,
  step_id text,
  visit int not null default 1,
  state text not null,
  due_at timestamptz,
  lease_until timestamptz,
  lease_owner text,
  attempts int not null default 0,
  cause json not null,
  context json not null,
  problem text,
  entered_at timestamptz not null,
  ended_at timestamptz,
  end_reason text,
  primary key (shard, id)
);

create unique index flow_run_exclusive on flow_run (shard, flow_id, profile_id) where exclusive and state <> 'ended';

create index flow_run_due on flow_run (flow_id, due_at) where state <> 'ended';

create index flow_run_by_profile on flow_run (shard, profile_id, id);

create table flow_effect (
  shard smallint not null,
  run_id bigint not null,
  lineage text not null,
  visit int not null,
  ordinal int not null,
  step_id text not null,
  kind text not null,
  outcome text not null,
  detail json not null default '{}',
  at timestamptz not null,
  primary key (shard, run_id, lineage, visit, ordinal)
);

create table flow_log (
  shard smallint not null,
  seq bigint generated always as identity,
  at timestamptz not null,
  flow_id int not null,
  version int,
  run_id bigint,
  profile_id bigint,
  step_id text,
  visit int,
  type text not null,
  data json not null default '{}',
  primary key (shard, seq)
);

create index flow_log_by_run on flow_log (shard, run_id, seq);

-- postbacks ----------------------------------------------------------------------------------------------------------

create sequence postback_number;

create table postback (
  shard smallint not null,
  id bigint not null,
  profile_id bigint not null,
  action text not null,
  url text not null,
  body json not null,
  state text not null,
  attempts smallint not null default 0,
  due_at timestamptz not null,
  lease_until timestamptz,
  created_at timestamptz not null,
  last_reply text,
  dedupe_key text,
  primary key (shard, id)
);

create index postback_due on postback (due_at) where state = 'queued';

create index postback_waiting on postback (shard, profile_id, id) where state = 'queued';

create unique index postback_dedupe on postback (shard, dedupe_key) where dedupe_key is not null;
`
